import { problemOf, reach, toReachFailure } from "../api/coordinator.ts";
import { Failure } from "../output/failure.ts";
import type { PartFile } from "./part-file.ts";
import { withRetries } from "./retries.ts";

/** A connection that brings nothing for so long is given up, and tried again. */
const stalledMs = 60_000;

export interface DownloadSource {
  /** A fresh signed address. */
  readonly url: () => Promise<string>;
  /** As the listing has it; undefined where there is none to compare with. */
  readonly sizeBytes: number | undefined;
  readonly shown: string;
  readonly recover: (failure: Failure) => Promise<void>;
}

export interface DownloadOptions {
  readonly retries: number;
  readonly signal: AbortSignal;
  /** Bytes that came; negative when they have to come again. */
  readonly onBytes: (bytes: number) => void;
  readonly onRetry: (failure: Failure) => void;
  /**
   * Told of the version before any byte is taken, where none is there yet.
   * @returns true when the bytes are had elsewhere: the download ends without any
   */
  readonly onVersion?: (etag: string) => Promise<boolean>;
}

export interface Downloaded {
  readonly etag: string;
  readonly sizeBytes: number;
  /** Bytes that an earlier run had left. */
  readonly resumedBytes: number;
  readonly isElsewhere: boolean;
  /** What the server says of the time of the last change. */
  readonly lastModified: string | null;
}

/** Fills a partial file until it is whole. What came stays in it, whatever happens. */
export async function downloadFile(part: PartFile, source: DownloadSource, options: DownloadOptions): Promise<Downloaded> {
  const resumedBytes = part.lengthBytes;
  if (resumedBytes > 0) options.onBytes(resumedBytes);
  let counted = resumedBytes;
  const count = (lengthBytes: number): void => {
    if (lengthBytes !== counted) options.onBytes(lengthBytes - counted);
    counted = lengthBytes;
  };
  let before = part.lengthBytes;
  const answer = await withRetries(
    async () => {
      before = part.lengthBytes;
      try {
        return await attempt(part, source, options, count);
      } finally {
        await part.flush();
      }
    },
    {
      retries: options.retries,
      signal: options.signal,
      hasAdvanced: () => part.lengthBytes > before,
      onRetry: async (failure) => {
        options.onRetry(failure);
        await source.recover(failure);
      },
    },
  );
  return { ...answer, resumedBytes: Math.min(resumedBytes, answer.sizeBytes) };
}

async function attempt(part: PartFile, source: DownloadSource, options: DownloadOptions, count: (lengthBytes: number) => void): Promise<Omit<Downloaded, "resumedBytes">> {
  const stalled = new AbortController();
  const signal = AbortSignal.any([options.signal, stalled.signal]);
  const timer = setTimeout(() => stalled.abort(new Failure("incomplete", `Nothing came of ${source.shown} for ${stalledMs / 1000} s.`)), stalledMs);
  try {
    const response = await ask(part, source, signal);
    const etag = response.headers.get("etag") ?? "";
    const total = startOf(response, part);
    if (part.lengthBytes === 0 && options.onVersion !== undefined && (await options.onVersion(etag))) {
      await response.body?.cancel();
      return { etag, sizeBytes: total, isElsewhere: true, lastModified: null };
    }
    if (response.status === 200) {
      await part.restart(etag);
      count(0);
    }
    await receive(response, part, total, source, signal, () => {
      timer.refresh();
      count(part.lengthBytes);
    });
    if (source.sizeBytes !== undefined && total !== source.sizeBytes) {
      throw new Failure("file_changed", `${source.shown} has ${total} bytes, where its folder said ${source.sizeBytes}.`);
    }
    return { etag, sizeBytes: total, isElsewhere: false, lastModified: response.headers.get("last-modified") };
  } finally {
    clearTimeout(timer);
  }
}

/** Asks for what is missing, of the version that is there. A part that may be whole asks for its last byte again. */
async function ask(part: PartFile, source: DownloadSource, signal: AbortSignal): Promise<Response> {
  const url = await source.url();
  const from = Math.max(0, source.sizeBytes === undefined || part.lengthBytes >= source.sizeBytes ? part.lengthBytes - 1 : part.lengthBytes);
  const headers: Record<string, string> = part.etag === undefined || from === 0 ? {} : { range: `bytes=${from}-`, "if-range": part.etag };
  const response = await reach(url, { signal, headers });
  if (response.status === 416) {
    // Longer than the file: not what it seemed.
    await response.body?.cancel();
    return await reach(await source.url(), { signal });
  }
  if (response.status !== 200 && response.status !== 206) throw await problemOf(response);
  return response;
}

/** The size of the whole file; the part is rewound to where the answer begins. */
function startOf(response: Response, part: PartFile): number {
  if (response.headers.get("etag") === null) throw new Failure("bad_answer", `${new URL(response.url).origin} gives no ETag.`);
  const lengthBytes = Number(response.headers.get("content-length") ?? Number.NaN);
  if (!Number.isSafeInteger(lengthBytes)) throw new Failure("bad_answer", `${new URL(response.url).origin} gives no length.`);
  if (response.status === 200) return lengthBytes;
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  const [start, end, total] = (range ?? []).slice(1).map(Number);
  if (start === undefined || end === undefined || total === undefined || start > part.lengthBytes || end + 1 !== total || end + 1 - start !== lengthBytes) {
    throw new Failure("bad_answer", `${new URL(response.url).origin} gives another range than was asked for.`);
  }
  if (response.headers.get("etag") !== part.etag) throw new Failure("file_changed", "The file is not the one that the first part came from.");
  return total;
}

async function receive(response: Response, part: PartFile, total: number, source: DownloadSource, signal: AbortSignal, onProgress: () => void): Promise<void> {
  const start = total - Number(response.headers.get("content-length"));
  if (response.status === 206 && start !== part.lengthBytes) await part.rewind(start);
  if (response.body !== null) {
    const reader = response.body.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read().catch((error: unknown) => {
          throw brokenOff(response, source, signal, error);
        });
        if (done) break;
        await part.append(value);
        onProgress();
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }
  if (part.lengthBytes !== total) throw new Failure("incomplete", `Of ${source.shown} came ${part.lengthBytes} of ${total} bytes.`);
}

function brokenOff(response: Response, source: DownloadSource, signal: AbortSignal, error: unknown): unknown {
  if (signal.aborted) return toReachFailure(response.url, error, signal);
  return new Failure("incomplete", `The connection broke off within ${source.shown}.`, undefined, { cause: error });
}
