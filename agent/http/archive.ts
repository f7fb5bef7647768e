import type { Context } from "hono";
import { PluckError } from "../../shared/errors.ts";
import { formatName } from "../../shared/guest-path.ts";
import type { ArchiveFormat } from "../../shared/link.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { DiskReader, PathRequest, ResolvedNode, WalkItem } from "../reader/disk-reader.ts";
import { archiveContentTypes, encodeArchive } from "./archive/formats.ts";
import { fileTypes } from "./archive/encoder.ts";
import { attachment } from "./attachment.ts";
import { grant, onErrorOf, type AgentEnv, type AgentServices, type GrantedRequest } from "./request.ts";
import { startTransfer, supplyOf } from "./transfer.ts";
import { stoppable } from "./stoppable.ts";
import { ofUnchanged } from "./unchanged.ts";

/** GET …/archive: a folder and all below it, or one file, in the link's format. */
export async function getArchive(context: Context<AgentEnv>, services: AgentServices): Promise<Response> {
  const granted = await grant(context, services, "archive");
  const node = await ofUnchanged(granted.mount, () => granted.mount.reader.resolve(granted.at));
  return await sendArchive(context, services, granted, node, granted.link.format ?? "zip");
}

export async function sendArchive(
  context: Context<AgentEnv>,
  services: AgentServices,
  granted: GrantedRequest,
  node: ResolvedNode,
  format: ArchiveFormat,
): Promise<Response> {
  const { mount, query } = granted;
  const onError = onErrorOf(query);
  const rootName = node.path.at(-1);
  const headers = new Headers({
    "Content-Type": archiveContentTypes[format],
    "Content-Disposition": attachment(rootName ?? mount.mountId, `.${format}`),
    "Cache-Control": "no-store",
    "Accept-Ranges": "none",
  });
  if (context.req.method === "HEAD") return new Response(null, { status: 200, headers });

  // From here on the folder is named by where it really is: names of the walk can be appended to that.
  const root = { segments: node.path.map(formatName), withinDepth: node.path.length };
  const stop = new AbortController();
  const items = node.type === "directory" ? mount.reader.walk(granted.at) : walkFile(mount.reader, granted.at, node);
  const chunks = encodeArchive(format, {
    // Before the trailer: an archive of a disk that changed meanwhile has none.
    walk: stoppable(items, stop.signal, () => mount.assertUnchanged()),
    rootName,
    onError,
    readFile: (path, sizeBytes) => stoppable(readFile(mount.reader, root, path, sizeBytes), stop.signal),
  });
  const body = await startTransfer(
    {
      ...services,
      sources: [{ mount, path: granted.path }], link: granted.link, operation: "archive",
      requestId: context.get("requestId"), outgoing: context.env?.outgoing,
    },
    supplyOf(chunks, (reason) => stop.abort(reason)),
  );
  return new Response(body, { status: 200, headers });
}

async function* readFile(reader: DiskReader, root: PathRequest, path: readonly ByteString[], sizeBytes: number): AsyncGenerator<Uint8Array> {
  yield* reader.read({ segments: [...root.segments, ...path.map(formatName)], withinDepth: root.withinDepth, offset: 0, length: sizeBytes });
}

/** One file as a walk: itself, then its bytes. */
async function* walkFile(reader: DiskReader, request: PathRequest, node: ResolvedNode): AsyncGenerator<WalkItem> {
  const path = node.path.map(formatName);
  const info = await reader.info({ segments: path, withinDepth: path.length });
  if (info.error !== undefined) throw new PluckError(info.error.code, info.error.detail);
  yield {
    kind: "entry", path: [], type: "file", size: node.size,
    mode: info.mode ?? (fileTypes.file | 0o644), uid: info.uid ?? 0, gid: info.gid ?? 0,
    modifiedAt: info.modifiedAt ?? { seconds: 0, nanoseconds: 0, digits: 0 },
    deviceMajor: 0, deviceMinor: 0, xattrs: info.xattrs, dataLength: node.size,
  };
  if (node.size === 0) return;
  for await (const bytes of reader.read({ ...request, offset: 0, length: node.size })) {
    yield { kind: "data", bytes };
  }
}
