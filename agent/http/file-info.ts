import { createHash } from "node:crypto";
import type { Context } from "hono";
import { hashAlgorithms, type FileInfo } from "../../shared/api.ts";
import { PluckError } from "../../shared/errors.ts";
import type { NodeInfo } from "../reader/disk-reader.ts";
import { toFileInfo } from "./entry.ts";
import { grant, type AgentEnv, type AgentServices, type GrantedRequest } from "./request.ts";
import { untilClosed } from "./until-closed.ts";
import { ofUnchanged } from "./unchanged.ts";

/** GET …/file-info: all that is known of one entry; a symlink is not followed, but for its hash. */
export async function getFileInfo(context: Context<AgentEnv>, services: AgentServices): Promise<Response> {
  const granted = await grant(context, services, "file-info");
  const { mount, at, query } = granted;
  const wantsHash = isHashWanted(query);
  const found = await ofUnchanged(mount, async (): Promise<[NodeInfo, string?]> => {
    const node = await mount.reader.info(at);
    return wantsHash && context.req.method !== "HEAD" ? [node, await hashFile(context, services, granted)] : [node];
  });
  const [node, sha256] = found;
  const info: FileInfo = { ...toFileInfo(mount.mountId, node), ...(sha256 === undefined ? {} : { sha256 }) };
  return context.json(info, 200, { "Cache-Control": "no-store" });
}

function isHashWanted(query: URLSearchParams): boolean {
  const asked = query.get("hash");
  if (asked !== null && !hashAlgorithms.some((known) => known === asked)) throw new PluckError("invalid_request", `hash must be ${hashAlgorithms.join(" or ")}.`);
  return asked !== null;
}

/**
 * Reads the whole file; the lease is kept meanwhile, and the reading ends with the mount or when the client
 * goes away.
 */
async function hashFile(context: Context<AgentEnv>, { metrics }: AgentServices, { mount, at }: GrantedRequest): Promise<string> {
  const { type, size } = await mount.reader.resolve(at);
  if (type === "directory") throw new PluckError("invalid_request", "hash: only a file has one, and this is a folder.");
  const hash = createHash("sha256");
  const endLease = mount.beginTransfer();
  const client = untilClosed(context.env?.outgoing);
  const reader = mount.reader.read({ ...at, offset: 0, length: size }).getReader();
  const stop = AbortSignal.any([mount.ended, client.gone]);
  const onStop = (): void => void reader.cancel(stop.reason).catch(() => undefined);
  stop.addEventListener("abort", onStop);
  try {
    for (;;) {
      stop.throwIfAborted();
      const { done, value } = await reader.read();
      // A cancelled stream looks like one that has ended.
      stop.throwIfAborted();
      if (done) return hash.digest("hex");
      hash.update(value);
      metrics.hashedBytes.inc(value.length);
      mount.reader.recycle?.(value);
    }
  } finally {
    stop.removeEventListener("abort", onStop);
    client.release();
    onStop();
    endLease();
  }
}
