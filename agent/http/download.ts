import { randomBytes } from "node:crypto";
import type { Context } from "hono";
import { PluckError } from "../../shared/errors.ts";
import type { ResolvedNode } from "../reader/disk-reader.ts";
import { sendArchive } from "./archive.ts";
import { attachment } from "./attachment.ts";
import { contentRange, layoutMultipart, parseByteRanges, type ByteRange } from "./byte-ranges.ts";
import { checkPreconditions, rangeStillApplies, type Validators } from "./preconditions.ts";
import { grant, type AgentEnv, type AgentServices, type GrantedRequest } from "./request.ts";
import { toHttpDate } from "./timestamp.ts";
import { startTransfer, type ByteSupply } from "./transfer.ts";
import { ofUnchanged } from "./unchanged.ts";

/** Never shown or run by a browser, whatever a guest's file claims to be. */
const fileType = "application/octet-stream";

/** GET …/download: a file's bytes, whole or by ranges; a folder comes as zip; with raw=true the bytes of a volume. */
export async function getDownload(context: Context<AgentEnv>, services: AgentServices): Promise<Response> {
  const granted = await grant(context, services, "download");
  const node = await ofUnchanged(granted.mount, () => granted.mount.reader.resolve(granted.at));
  if (node.type === "directory") return await sendArchive(context, services, granted, node, "zip");

  const validators: Validators = { etag: quoted(node.etag), lastModified: toHttpDate(node.modifiedAt, new Date()) };
  const header = (name: string): string | undefined => context.req.header(name);
  const headers = new Headers({ ETag: validators.etag, "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes" });
  if (validators.lastModified !== undefined) headers.set("Last-Modified", validators.lastModified);
  const verdict = checkPreconditions(header, validators);
  if (verdict === "failed") throw new PluckError("precondition_failed", "The file is not the one that If-Match or If-Unmodified-Since names.");
  if (verdict === "not-modified") return new Response(null, { status: 304, headers });

  headers.set("Content-Type", fileType);
  headers.set("Content-Disposition", attachment(granted.at.raw === true ? `${granted.mount.mountId}-${node.path.join("-")}.img` : (node.path.at(-1) ?? granted.mount.mountId)));
  if (context.req.method === "HEAD") {
    headers.set("Content-Length", String(node.size));
    return new Response(null, { status: 200, headers });
  }
  const asked = rangeStillApplies(header("if-range"), validators) ? header("range") : undefined;
  const ranges = parseByteRanges(asked, node.size);
  if (ranges === "unsatisfiable") {
    context.header("Content-Range", `bytes */${node.size}`);
    throw new PluckError("range_not_satisfiable", `The file has ${node.size} bytes; the range lies outside it.`);
  }
  return await sendRanges(context, services, granted, node, ranges, headers);
}

async function sendRanges(
  context: Context<AgentEnv>,
  services: AgentServices,
  granted: GrantedRequest,
  node: ResolvedNode,
  ranges: readonly ByteRange[] | "whole",
  headers: Headers,
): Promise<Response> {
  const read = ({ start, end }: ByteRange) => () =>
    granted.mount.reader.read({ ...granted.at, offset: start, length: end - start });
  let parts: Part[];
  let lengthBytes: number;
  const [only] = ranges === "whole" ? [{ start: 0, end: node.size }] : ranges;
  if (ranges === "whole" || ranges.length === 1) {
    const range = only ?? { start: 0, end: node.size };
    lengthBytes = range.end - range.start;
    parts = lengthBytes === 0 ? [] : [read(range)];
    if (ranges !== "whole") headers.set("Content-Range", contentRange(range, node.size));
  } else {
    const layout = layoutMultipart(ranges, node.size, fileType, randomBytes(18).toString("hex"));
    lengthBytes = layout.lengthBytes;
    parts = [...ranges.flatMap((range, index) => [layout.heads[index] ?? Buffer.alloc(0), read(range)]), layout.tail];
    headers.set("Content-Type", layout.contentType);
  }
  headers.set("Content-Length", String(lengthBytes));
  const body = await startTransfer(
    {
      ...services,
      sources: [granted], link: granted.link, operation: "download",
      requestId: context.get("requestId"), outgoing: context.env?.outgoing,
    },
    supplyParts(parts, (chunk) => granted.mount.reader.recycle?.(chunk)),
    lengthBytes,
  );
  return new Response(body, { status: ranges === "whole" ? 200 : 206, headers });
}

type Part = Uint8Array | (() => ReadableStream<Uint8Array>);

/** Bytes at hand and streams, one after the other; a stream is opened when its turn comes. */
function supplyParts(parts: readonly Part[], recycle: (chunk: Uint8Array) => void): ByteSupply {
  let index = 0;
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let isCancelled = false;
  return {
    recycle,
    async next() {
      while (!isCancelled) {
        const part = parts[index];
        if (part === undefined) return undefined;
        if (part instanceof Uint8Array) {
          index++;
          return part;
        }
        reader ??= part().getReader();
        const { done, value } = await reader.read();
        if (!done) return value;
        reader = undefined;
        index++;
      }
      return undefined;
    },
    cancel(reason) {
      isCancelled = true;
      reader?.cancel(reason).catch(() => undefined);
    },
  };
}

function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}
