import type { HttpBindings } from "@hono/node-server";
import { createRoute, z } from "@hono/zod-openapi";
import type { Context as HonoContext } from "hono";
import {
  cleanupStatusSchema,
  createArchiveSchema,
  createdArchiveSchema,
  createdLinkSchema,
  createLinkSchema,
  defaultListingLimit,
  hashAlgorithms,
  idSchema,
  maxListingLimit,
  mountListSchema,
  mountRequestSchema,
  mountSchema,
  resourcesSchema,
  unlockRequestSchema,
} from "../../shared/api.ts";
import { PluckError } from "../../shared/errors.ts";
import { pathFromQuery } from "../../shared/guest-path.ts";
import { type AgentRoute, archiveFormats, type LinkOperation } from "../../shared/link.ts";
import { createArchive } from "../services/mounts/create-archive.ts";
import { endMount } from "../services/mounts/end-mount.ts";
import { extendMount } from "../services/mounts/extend-mount.ts";
import { getMount, listMounts } from "../services/mounts/get-mount.ts";
import { issueLink, type LinkRequest } from "../services/mounts/issue-link.ts";
import { mountDisk } from "../services/mounts/mount-disk.ts";
import { listResources } from "../services/mounts/resources.ts";
import { unlockVolume } from "../services/mounts/unlock-volume.ts";
import { cleanupStatus } from "../services/sweep/cleanup-status.ts";
import { mountExamples } from "./examples.ts";
import { type AppEnv, bearer, body, createRouter, json, problems } from "./router.ts";

const tags = ["Restore"];
const mountParam = z.object({ mount_id: idSchema.openapi({ param: { name: "mount_id", in: "path" }, example: "mnt-V1StGXR8_Z5jdHi6B-myT" }) });
const pathQuery = z.string().optional().openapi({ description: "A path inside the mount; any byte may be percent-encoded.", example: "/p2/etc/hosts" });
const onErrorQuery = z.enum(["fail", "report"]).optional().openapi({ description: "What an entry that can't be read does to an archive: break it off (the default), or be listed in a report inside it." });
const location = { Location: { description: "Where the mount is", schema: { type: "string" as const } } };
const redirect = {
  description: "A signed link to the agent that holds the mount. Follow it; the answer comes from there.",
  headers: { Location: { description: "The signed link", schema: { type: "string" as const } }, "Cache-Control": { description: "no-store", schema: { type: "string" as const } } },
};

const mountRoute = createRoute({
  method: "post",
  path: "/restore/mount",
  tags,
  security: bearer,
  summary: "Open a disk of a backup",
  description: "One mount per disk: whoever asks for a disk that is open gets that mount. Without `disk_index`, disk 0.",
  request: {
    body: body(mountRequestSchema, mountExamples),
  },
  responses: {
    200: { ...json(mountSchema, "It is open already"), headers: location },
    201: { ...json(mountSchema, "It was opened"), headers: location },
    202: { ...json(mountSchema, "It takes longer: ask again at Location"), headers: location },
    ...problems("backup_not_found", "disk_not_found", "backup_incomplete", "backup_in_use", "qcow2_missing", "chain_outside_repository", "unsupported", "corrupt", "io_error", "nbd_devices_exhausted", "agent_offline", "agent_timeout"),
  },
});

const listRoute = createRoute({
  method: "get",
  path: "/restore/mounts",
  tags,
  security: bearer,
  summary: "The mounts there are",
  responses: { 200: json(mountListSchema, "All mounts, the oldest first"), ...problems() },
});

const resourcesRoute = createRoute({
  method: "get",
  path: "/restore/resources",
  tags,
  security: bearer,
  summary: "Export slots per agent",
  responses: { 200: json(resourcesSchema, "Slots"), ...problems() },
});

const cleanupRoute = createRoute({
  method: "get",
  path: "/restore/cleanup-status",
  tags,
  security: bearer,
  summary: "What the sweep of idle mounts did and will do",
  responses: { 200: json(cleanupStatusSchema, "The sweep"), ...problems() },
});

const getRoute = createRoute({
  method: "get",
  path: "/restore/{mount_id}",
  tags,
  security: bearer,
  summary: "One mount",
  request: { params: mountParam },
  responses: { 200: json(mountSchema, "The mount"), ...problems("mount_not_found") },
});

const endRoute = createRoute({
  method: "delete",
  path: "/restore/{mount_id}",
  tags,
  security: bearer,
  summary: "End a mount",
  description: "Ends every link of the mount too. Idempotent: ending what has ended, or never was, is no error. With the agent offline the mount is ended when it is back.",
  request: { params: mountParam },
  responses: { 204: { description: "It has ended, or will" }, ...problems() },
});

const extendRoute = createRoute({
  method: "post",
  path: "/restore/{mount_id}/extend",
  tags,
  security: bearer,
  summary: "Begin the lease of a mount anew",
  description: "As every access does: `expires_at` is then a whole idle time away.",
  request: { params: mountParam },
  responses: { 200: json(mountSchema, "The mount with its new `expires_at`"), ...problems("mount_not_found") },
});

const unlockRoute = createRoute({
  method: "post",
  path: "/restore/{mount_id}/unlock",
  tags,
  security: bearer,
  summary: "Unlock an encrypted volume",
  description:
    "For volumes whose error is `volume_locked`. Either `passphrase`, or `key`: the contents of a keyfile in base64. The answer is the mount with what the volume holds; it keeps its name, and logical volumes inside it are added. " +
    "Where a volume has parts on the backup's other disks, the key is tried on the encrypted volumes there too; one with another key is listed as `luks-` and its UUID, and unlocked by that name. " +
    "The secret is encrypted for the agent, kept only in the memory of the disk's reader, and written nowhere; after a restart of the agent the volume is locked again. " +
    "It takes seconds, as the volume's owner wanted it. Five wrong keys in a row are free, then each further one waits longer.",
  request: {
    params: mountParam,
    body: body(unlockRequestSchema, {
      passphrase: { summary: "With a passphrase", value: { volume: "p3", passphrase: "correct horse battery staple" } },
      key: { summary: "With the contents of a keyfile", value: { volume: "vg0-data", key: "c2VjcmV0IGtleWZpbGU=" } },
    }),
  },
  responses: {
    200: json(mountSchema, "It is unlocked"),
    ...problems("mount_not_found", "path_not_found", "wrong_key", "too_many_attempts", "unsupported", "corrupt", "io_error", "backup_in_use", "agent_offline", "agent_timeout"),
  },
});

const filesRoute = createRoute({
  method: "get",
  path: "/restore/{mount_id}/files",
  tags,
  security: bearer,
  summary: "List a folder",
  request: {
    params: mountParam,
    query: z.object({
      path: pathQuery,
      recursive: z.enum(["true", "false", "1", "0"]).optional(),
      limit: z.coerce.number().int().min(1).max(maxListingLimit).optional().openapi({ description: `Entries a page, ${defaultListingLimit} by default` }),
      cursor: z.string().max(4096).optional().openapi({ description: "The `next` of the page before" }),
    }),
  },
  responses: { 307: redirect, ...problems("mount_not_found", "agent_offline", "agent_timeout") },
});

const fileInfoRoute = createRoute({
  method: "get",
  path: "/restore/{mount_id}/file-info",
  tags,
  security: bearer,
  summary: "All there is to know about one file or folder",
  description: "With `hash=sha256` the answer has the SHA-256 of the file's bytes, which the agent reads for it: of a large file that takes its time. A symlink to a file then has the hash of its target.",
  request: { params: mountParam, query: z.object({ path: pathQuery, hash: z.enum(hashAlgorithms).optional() }) },
  responses: { 307: redirect, ...problems("mount_not_found", "agent_offline", "agent_timeout") },
});

const downloadRoute = createRoute({
  method: "get",
  path: "/restore/{mount_id}/download",
  tags,
  security: bearer,
  summary: "Download a file",
  description: "A folder comes as zip. With `raw=true` the path is a volume, and its bytes come as the disk holds them: also those of a volume that nothing here can read.",
  request: { params: mountParam, query: z.object({ path: pathQuery, on_error: onErrorQuery, raw: z.enum(["true", "false", "1", "0"]).optional() }) },
  responses: { 307: redirect, ...problems("mount_not_found", "agent_offline", "agent_timeout") },
});

const archiveRoute = createRoute({
  method: "get",
  path: "/restore/{mount_id}/download-directory",
  tags,
  security: bearer,
  summary: "Download a folder as an archive",
  request: { params: mountParam, query: z.object({ path: pathQuery, format: z.enum(archiveFormats).default("zip"), on_error: onErrorQuery }) },
  responses: { 307: redirect, ...problems("mount_not_found", "agent_offline", "agent_timeout") },
});

const linksRoute = createRoute({
  method: "post",
  path: "/restore/{mount_id}/links",
  tags,
  security: bearer,
  summary: "Make a signed link to hand on",
  description: "Whoever has the link may use it until it expires or the mount ends; it opens this path (with `browse`, also what is below it) and nothing else.",
  request: {
    params: mountParam,
    body: body(createLinkSchema, { file: { summary: "A file, for an hour", value: { operation: "download", path: "/p2/etc/hosts", ttl_s: 3600 } } }),
  },
  responses: { 201: json(createdLinkSchema, "The link"), ...problems("mount_not_found", "agent_offline", "agent_timeout") },
});

const archivesRoute = createRoute({
  method: "post",
  path: "/restore/archives",
  tags,
  security: bearer,
  summary: "Make a link to one archive of many files and folders",
  description:
    "Of one mount, or of several on the same agent. POST `selection` as it is to `url`, as a form (application/x-www-form-urlencoded): a browser's form does, or `curl --data-urlencode selection@-`. The answer is the archive. " +
    "Names in it begin below the deepest folder that all items have in common; with several mounts each stands in a folder `<backup_id>-disk-<n>`, with its whole path. An item inside another is there once, and a symlink is packed as one. " +
    "An item that is not there is answered with `path_not_found` before the first byte; one that can't be read ends the archive, unless `&on_error=report` is added to the url.",
  request: {
    body: body(createArchiveSchema, {
      twoDisks: {
        summary: "A folder of one disk and a file of another",
        value: { format: "tar.gz", name: "pgtest1", items: [{ mount_id: "mnt-V1StGXR8_Z5jdHi6B-myT", path: "/p2/etc" }, { mount_id: "mnt-zBA7Cfp-NjziwDK8m5w2m", path: "/disk/PG_VERSION" }] },
      },
    }),
  },
  responses: { 201: json(createdArchiveSchema, "The link, and what to post to it"), ...problems("mount_not_found", "body_too_large", "agent_offline", "agent_timeout") },
});

/** The mounts and what is inside them. */
export const restoreRoutes = createRouter()
  .openapi(mountRoute, async (c) => {
    const { backup_id: backupId, disk_index: diskIndex } = c.req.valid("json");
    const { mount, outcome } = await mountDisk({ ctx: c.var.ctx, input: { backupId, diskIndex } });
    c.header("Location", `/api/v1/restore/${mount.mount_id}`);
    if (outcome === "created") return c.json(mount, 201);
    return outcome === "open" ? c.json(mount, 200) : c.json(mount, 202);
  })
  .openapi(listRoute, async (c) => c.json({ mounts: await listMounts({ ctx: c.var.ctx, input: undefined }) }, 200))
  .openapi(resourcesRoute, async (c) => c.json(await listResources({ ctx: c.var.ctx, input: undefined }), 200))
  .openapi(cleanupRoute, async (c) => c.json(await cleanupStatus({ ctx: c.var.ctx, input: undefined }), 200))
  .openapi(archivesRoute, async (c) => {
    const { url, selection, expiresAt } = await createArchive({ ctx: c.var.ctx, input: c.req.valid("json") });
    c.header("Cache-Control", "no-store");
    return c.json({ url, selection, expires_at: expiresAt.toISOString() }, 201);
  })
  .openapi(getRoute, async (c) => c.json(await getMount({ ctx: c.var.ctx, input: c.req.valid("param").mount_id }), 200))
  .openapi(endRoute, async (c) => {
    await endMount({ ctx: c.var.ctx, input: { mountId: c.req.valid("param").mount_id, reason: "requested" } });
    return c.body(null, 204);
  })
  .openapi(extendRoute, async (c) => c.json(await extendMount({ ctx: c.var.ctx, input: c.req.valid("param").mount_id }), 200))
  .openapi(unlockRoute, async (c) => {
    const { volume, passphrase, key } = c.req.valid("json");
    if ((passphrase === undefined) === (key === undefined)) throw new PluckError("invalid_request", "passphrase: give either this or key.");
    const secret = passphrase === undefined ? Buffer.from(key ?? "", "base64") : Buffer.from(passphrase, "utf8");
    try {
      return c.json(await unlockVolume({ ctx: c.var.ctx, input: { mountId: c.req.valid("param").mount_id, volume, secret } }), 200);
    } finally {
      secret.fill(0);
    }
  })
  .openapi(filesRoute, async (c) => {
    const { recursive, limit, cursor } = c.req.valid("query");
    return await redirectTo(c, { mountId: c.req.valid("param").mount_id, route: "files", path: pathOf(c) ?? "/", parameters: { recursive, limit: limit?.toString(), cursor } });
  })
  .openapi(fileInfoRoute, async (c) => {
    const { hash } = c.req.valid("query");
    return await redirectTo(c, { mountId: c.req.valid("param").mount_id, route: "file-info", path: pathOf(c) ?? "/", parameters: { hash } });
  })
  .openapi(downloadRoute, async (c) => {
    const { on_error, raw } = c.req.valid("query");
    const input = { mountId: c.req.valid("param").mount_id, route: "download", path: requiredPathOf(c), raw: raw === "true" || raw === "1", parameters: { on_error } } as const;
    return await redirectTo(c, input);
  })
  .openapi(archiveRoute, async (c) => {
    const { format, on_error } = c.req.valid("query");
    return await redirectTo(c, { mountId: c.req.valid("param").mount_id, route: "archive", path: requiredPathOf(c), format, parameters: { on_error } });
  })
  .openapi(linksRoute, async (c) => {
    const { operation, path, format, raw, ttl_s: lifeS } = c.req.valid("json");
    if (raw === true && operation !== "download") throw new PluckError("invalid_request", "raw: only a download can be raw.");
    if (format !== undefined && operation !== "archive") throw new PluckError("invalid_request", "format: only an archive has one.");
    const { url, expiresAt } = await issueLink({
      ctx: c.var.ctx,
      input: {
        mountId: c.req.valid("param").mount_id,
        route: routeOf[operation],
        path,
        ...(operation === "archive" ? { format: format ?? "zip" } : {}),
        ...(raw === undefined ? {} : { raw }),
        ...(lifeS === undefined ? {} : { lifeS }),
      },
    });
    c.header("Cache-Control", "no-store");
    return c.json({ url, expires_at: expiresAt.toISOString() }, 201);
  });

const routeOf: Record<LinkOperation, AgentRoute> = { browse: "files", download: "download", archive: "archive" };

/** 307: the method stays, and so does the promise that the bytes never pass here. */
async function redirectTo(c: HonoContext<AppEnv>, input: LinkRequest): Promise<Response> {
  const { url } = await issueLink({ ctx: c.var.ctx, input });
  c.header("Cache-Control", "no-store");
  c.header("Referrer-Policy", "no-referrer");
  return c.redirect(url, 307);
}

function requiredPathOf(c: HonoContext<AppEnv>): string {
  const path = pathOf(c);
  if (path === undefined || path === "") throw new PluckError("invalid_request", "path: is missing; / is the whole mount.");
  return path;
}

/** From the query as it came over the wire: names are bytes, and a URL object would replace those that are not UTF-8. */
function pathOf(c: HonoContext<AppEnv>): string | undefined {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>;
  const url = incoming?.url ?? c.req.url;
  const mark = url.indexOf("?");
  if (mark < 0) return undefined;
  return pathFromQuery(url.slice(mark + 1).replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`));
}
