import { signal } from "@preact/signals";
import { fetchLink } from "../api/client.ts";
import { ApiError, asApiError, isAbort } from "../api/problem.ts";

/** Where the bytes go: as of the File System Access API. */
export interface DownloadTarget {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

export type DownloadState = "running" | "paused" | "failed" | "done";

/** A connection that breaks is taken up again by itself, as long as bytes come in between. */
const maxFruitlessTries = 5;
const retryDelayMs = 1000;
/** Speed is that of the last seconds. */
const speedSpanMs = 4000;
const noticeMs = 250;

/** A file that is written to disk as it comes, and goes on where it was cut: also after a pause. */
export class ManagedDownload {
  readonly name: string;
  readonly totalBytes: number;
  readonly receivedBytes = signal(0);
  /** 0 when not known. */
  readonly bytesPerSecond = signal(0);
  readonly state = signal<DownloadState>("running");
  readonly error = signal<ApiError | undefined>(undefined);
  readonly #link: () => Promise<string>;
  readonly #target: DownloadTarget;
  #received = 0;
  #etag: string | undefined;
  #abort = new AbortController();
  #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  /** @param link gives a fresh link: a paused download outlives those of before */
  constructor(name: string, totalBytes: number, link: () => Promise<string>, target: DownloadTarget) {
    this.name = name;
    this.totalBytes = totalBytes;
    this.#link = link;
    this.#target = target;
  }

  /** Starts, or goes on. Resolves when it is done, paused or failed; then `state` tells. */
  async run(): Promise<void> {
    this.#abort = new AbortController();
    const { signal: aborted } = this.#abort;
    this.state.value = "running";
    this.error.value = undefined;
    this.#samples = [];
    let fruitless = 0;
    while (!aborted.aborted) {
      const before = this.#received;
      try {
        await this.#fetchRest(aborted);
        await this.#target.close();
        this.#notice();
        this.state.value = "done";
        return;
      } catch (error) {
        if (aborted.aborted || isAbort(error)) break;
        fruitless = this.#received > before ? 0 : fruitless + 1;
        if (!isBroken(error) || fruitless >= maxFruitlessTries) {
          this.error.value = asApiError(error);
          this.state.value = "failed";
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, retryDelayMs));
      }
    }
    this.#notice();
    if (this.state.peek() === "running") this.state.value = "paused";
  }

  pause(): void {
    this.#abort.abort();
  }

  /** Throws away what was written. */
  async cancel(): Promise<void> {
    this.#abort.abort();
    this.state.value = "failed";
    await this.#target.abort().catch(() => undefined);
  }

  async #fetchRest(aborted: AbortSignal): Promise<void> {
    if (this.#received >= this.totalBytes && this.#etag !== undefined) return;
    const isResumed = this.#received > 0;
    const response = await fetchLink(await this.#link(), {
      signal: aborted,
      ...(isResumed ? { range: `bytes=${this.#received}-` } : {}),
      ...(isResumed && this.#etag !== undefined ? { ifRange: this.#etag } : {}),
    });
    // If-Range: the whole file instead of the rest means that it is another one.
    if (isResumed && response.status !== 206) {
      await response.body?.cancel();
      throw new ApiError("file_changed", "", response.status);
    }
    this.#etag ??= response.headers.get("ETag") ?? undefined;
    const reader = response.body?.getReader();
    let noticedAt = 0;
    for (;;) {
      aborted.throwIfAborted();
      const part = await reader?.read();
      if (part === undefined || part.done) break;
      await this.#target.write(part.value);
      this.#received += part.value.length;
      if (performance.now() - noticedAt < noticeMs) continue;
      noticedAt = performance.now();
      this.#notice();
    }
    if (this.#received < this.totalBytes) throw new TypeError(`ended after ${this.#received} of ${this.totalBytes} bytes`);
  }

  #notice(): void {
    const now = { atMs: performance.now(), bytes: this.#received };
    this.#samples = [...this.#samples.filter(({ atMs }) => now.atMs - atMs < speedSpanMs), now];
    const [first] = this.#samples;
    const spanMs = first === undefined ? 0 : now.atMs - first.atMs;
    this.bytesPerSecond.value = first === undefined || spanMs < noticeMs ? 0 : ((now.bytes - first.bytes) * 1000) / spanMs;
    this.receivedBytes.value = this.#received;
  }
}

/** A connection that was cut, as against a refusal. */
function isBroken(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof ApiError && error.status === 0);
}
