import type { Context } from "hono";
import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath, formatName, parseGuestPath } from "../../shared/guest-path.ts";
import { verifySelectionLink } from "../../shared/link.ts";
import { decodeSelection, describePaths, hashSelection, maxSelectionBytes, type SelectedMount, type Selection } from "../../shared/selection.ts";
import { textToByteString, type ByteString } from "../filesystems/byte-string.ts";
import type { OpenMount } from "../mounts/open-mount.ts";
import type { SelectedNode, WalkItem } from "../reader/disk-reader.ts";
import { archiveContentTypes, encodeArchive } from "./archive/formats.ts";
import { attachment } from "./attachment.ts";
import { readForm } from "./read-form.ts";
import { onErrorOf, tokenOf, toRawQuery, type AgentEnv, type AgentServices } from "./request.ts";
import { assertAllUnchanged, startTransfer, supplyOf } from "./transfer.ts";
import { stoppable } from "./stoppable.ts";
import { ofUnchanged } from "./unchanged.ts";

/** One mount of a selection, with what was found of its paths. */
interface Part {
  readonly mount: OpenMount;
  /** For the audit trail. */
  readonly path: string;
  readonly paths: readonly (readonly ByteString[])[];
  /** Names in front of each path in the archive: the mount's folder, when there are several mounts. */
  readonly prefix: readonly ByteString[];
  /** How many names of each path are left away: the folders that all have in common, when there is one mount. */
  readonly depth: number;
}

/**
 * POST /v1/archive: one archive of what was picked here and there, also on several mounts of this agent.
 * The link holds the hash of the selection, which comes as a form: so a page of another origin can post it
 * without a script having to hold the bytes of the answer.
 */
export async function postSelection(context: Context<AgentEnv>, services: AgentServices): Promise<Response> {
  const query = new URLSearchParams(toRawQuery(context));
  const token = tokenOf(context, query);
  if (token === undefined) throw new PluckError("unauthenticated", "The link's token is missing: give it as token= or as a bearer token.");
  // Before the body is read: only who has a link may send one.
  const keys = trustedKeys(services);
  const link = await verifySelectionLink(token, { keys: [...keys.values()] }, services.agentId);
  const onError = onErrorOf(query);
  const text = (await readForm(context.req.raw, "selection", maxSelectionBytes)).trim();
  if (hashSelection(text) !== link.selectionSha256) throw new PluckError("link_invalid", "The link is for another selection.");
  const selection = decodeSelection(text);
  const mounts = selection.mounts.map((selected) => findTrusted(services, keys.get(link.keyId), selected));
  for (const mount of mounts) mount.touch();
  const found = await Promise.all(selection.mounts.map(async (selected, index) => await selectIn(mounts[index], selected, onError)));
  const parts = toParts(mounts, selection, found);

  const stop = new AbortController();
  let current = 0;
  const walk = walkParts(parts, (index) => (current = index));
  const chunks = encodeArchive(link.format, {
    // Before the trailer: an archive of a disk that changed meanwhile has none.
    walk: stoppable(walk, stop.signal, async () => await assertAllUnchanged(parts)),
    rootName: undefined,
    hasGaps: true,
    onError,
    readFile: (path, sizeBytes) => stoppable(readFile(parts, path, sizeBytes), stop.signal),
  });
  const [first, ...others] = parts;
  if (first === undefined) throw new PluckError("invalid_request", "selection: is empty.");
  const body = await startTransfer(
    {
      ...services,
      sources: [first, ...others], currentSource: () => current,
      link, operation: "archive", requestId: context.get("requestId"), outgoing: context.env?.outgoing,
    },
    supplyOf(chunks, (reason) => stop.abort(reason)),
  );
  return new Response(body, {
    status: 200,
    headers: {
      "Content-Type": archiveContentTypes[link.format],
      "Content-Disposition": attachment(textToByteString(selection.name), `.${link.format}`),
      "Cache-Control": "no-store",
      "Accept-Ranges": "none",
    },
  });
}

type Key = OpenMount["jwks"]["keys"][number];

/** Which mounts it is about is known only when its signature is: the keys of all. */
function trustedKeys({ mounts }: AgentServices): Map<string, Key> {
  const keys = new Map<string, Key>();
  for (const { jwks } of mounts.list()) for (const key of jwks.keys) keys.set(key.kid, key);
  if (keys.size === 0) throw new PluckError("mount_not_found", "No mount is open on this agent: those of the selection have ended.");
  return keys;
}

/** @param key that the link is signed with: the mount must have been opened by whoever has it */
function findTrusted({ mounts }: AgentServices, key: Key | undefined, { mount_id: mountId }: SelectedMount): OpenMount {
  const mount = mounts.get(mountId);
  if (mount === undefined) throw new PluckError("mount_not_found", `No mount ${mountId} on this agent: it was ended, or never was here.`, { extra: { mount_id: mountId } });
  if (key === undefined || !mount.jwks.keys.some((known) => known.kid === key.kid && known["x"] === key["x"])) throw new PluckError("link_invalid", "The link is not signed by who opened the mount.");
  return mount;
}

async function selectIn(mount: OpenMount | undefined, { paths }: SelectedMount, onError: "fail" | "report"): Promise<readonly SelectedNode[]> {
  if (mount === undefined) return [];
  const items = paths.map((path) => {
    const segments = parseGuestPath(path);
    if (segments === undefined) throw new PluckError("invalid_request", 'A path is too long or holds ".", ".." or a NUL byte.');
    return segments;
  });
  const nodes = await ofUnchanged(mount, async () => await mount.reader.select(items)).catch((error: unknown) => {
    throw error instanceof PluckError ? new PluckError(error.code, error.message, { cause: error, extra: { ...error.extra, mount_id: mount.mountId } }) : error;
  });
  const broken = nodes.find(({ error }) => error !== undefined);
  if (broken?.error !== undefined && onError === "fail") {
    throw new PluckError(broken.error.code, `${formatGuestPath(broken.path)}: ${broken.error.detail}`, { extra: { mount_id: mount.mountId } });
  }
  return nodes;
}

function toParts(mounts: readonly OpenMount[], selection: Selection, found: readonly (readonly SelectedNode[])[]): Part[] {
  const isOne = mounts.length === 1;
  return mounts.map((mount, index) => {
    const paths = (found[index] ?? []).map(({ path }) => path);
    return {
      mount,
      path: describePaths(selection.mounts[index]?.paths ?? []),
      paths,
      prefix: isOne ? [] : [textToByteString(selection.mounts[index]?.folder ?? "")],
      depth: isOne ? commonFolderDepth(paths) : 0,
    };
  });
}

/** How deep the deepest folder lies that holds all of them, none being that folder itself. */
export function commonFolderDepth(paths: readonly (readonly ByteString[])[]): number {
  const [first = [], ...others] = paths;
  let depth = Math.max(0, first.length - 1);
  for (const path of others) {
    let same = 0;
    while (same < depth && same < path.length - 1 && path[same] === first[same]) same++;
    depth = same;
  }
  return depth;
}

async function* walkParts(parts: readonly Part[], onPart: (index: number) => void): AsyncGenerator<WalkItem> {
  for (const [index, part] of parts.entries()) {
    onPart(index);
    for await (const item of part.mount.reader.walkSelection(part.paths)) {
      if (item.kind === "data") yield item;
      else yield { ...item, path: inArchive(part, item.path), ...(item.hardLinkOf === undefined ? {} : { hardLinkOf: inArchive(part, item.hardLinkOf) }) };
    }
  }
}

function inArchive({ prefix, depth }: Part, path: readonly ByteString[]): readonly ByteString[] {
  if (prefix.length === 0) return depth === 0 ? path : path.slice(depth);
  return [...prefix, ...path];
}

/** A file by its path in the archive: for formats that store each hard link anew. */
async function* readFile(parts: readonly Part[], path: readonly ByteString[], sizeBytes: number): AsyncGenerator<Uint8Array> {
  const part = parts.find(({ prefix }) => prefix.length === 0 || prefix[0] === path[0]);
  if (part === undefined) throw new Error(`the archive has no mount for ${formatGuestPath(path)}`);
  const top = part.paths[0]?.slice(0, part.depth) ?? [];
  const segments = [...top, ...path.slice(part.prefix.length)].map(formatName);
  yield* part.mount.reader.read({ segments, withinDepth: segments.length, offset: 0, length: sizeBytes });
}
