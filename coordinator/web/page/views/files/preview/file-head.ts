import { createLink } from "../../../api/links.ts";
import { fetchLink } from "../../../api/client.ts";
import { ApiError } from "../../../api/problem.ts";
import type { DiskSession } from "../disk-session.ts";

export interface FilePart {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the whole file. */
  readonly totalBytes: number;
}

/** Bytes [start, start + length) of a file, fewer at its end. @throws ApiError, AbortError */
export async function readPart(disk: DiskSession, path: string, start: number, length: number, signal: AbortSignal): Promise<FilePart> {
  return await disk.use(async (mountId) => {
    const { url } = await createLink(mountId, { operation: "download", path }, signal);
    try {
      const response = await fetchLink(url, { range: `bytes=${start}-${start + length - 1}`, signal });
      // An empty file knows no ranges: it comes whole.
      const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
      const bytes = new Uint8Array(await response.arrayBuffer());
      return { bytes, totalBytes: total === undefined ? bytes.length : Number(total) };
    } catch (error) {
      if (error instanceof ApiError && error.code === "range_not_satisfiable") return { bytes: new Uint8Array(0), totalBytes: start };
      throw error;
    }
  });
}
