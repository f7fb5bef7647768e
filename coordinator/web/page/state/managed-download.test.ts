import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ManagedDownload, type DownloadTarget } from "./managed-download.ts";

const file = Uint8Array.from({ length: 1000 }, (_, index) => (index * 7) & 255);
let asked: { range: string | null; ifRange: string | null }[];
let etag: string;
/** Bytes after which each answer breaks; none: it comes whole. */
let cuts: number[];

beforeEach(() => {
  asked = [];
  etag = '"a"';
  cuts = [];
  vi.stubGlobal("fetch", async (_: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    const range = headers.get("range");
    asked.push({ range, ifRange: headers.get("if-range") });
    const ifRange = headers.get("if-range");
    const start = range === null || (ifRange !== null && ifRange !== etag) ? 0 : Number(/bytes=(\d+)-/.exec(range)?.[1]);
    const cut = cuts.shift();
    let sent = start;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        init.signal?.throwIfAborted();
        if (cut !== undefined && sent >= start + cut) return controller.error(new TypeError("network error"));
        if (sent >= file.length) return controller.close();
        controller.enqueue(file.slice(sent, (sent += 50)));
      },
    });
    return await Promise.resolve(new Response(body, { status: start > 0 ? 206 : 200, headers: { ETag: etag } }));
  });
});
afterEach(() => { vi.unstubAllGlobals(); });

function target(onWrite: () => void = () => undefined): DownloadTarget & { bytes: number[]; closed: boolean; aborted: boolean } {
  return {
    bytes: [], closed: false, aborted: false,
    async write(bytes) { this.bytes.push(...bytes); onWrite(); await Promise.resolve(); },
    async close() { this.closed = true; await Promise.resolve(); },
    async abort() { this.aborted = true; await Promise.resolve(); },
  };
}

const start = (into: DownloadTarget): ManagedDownload => new ManagedDownload("f", file.length, async () => await Promise.resolve("http://agent/f"), into);

describe("a download with progress", () => {
  it("writes the file and closes it", async () => {
    const into = target();
    const download = start(into);
    await download.run();
    expect([download.state.value, into.closed, into.bytes]).toEqual(["done", true, [...file]]);
    expect(download.receivedBytes.value).toBe(1000);
  });

  it("goes on after a pause where it was, and only with the same file", async () => {
    const into = target(() => { if (into.bytes.length === 300) download.pause(); });
    const download = start(into);
    await download.run();
    expect([download.state.value, into.closed]).toEqual(["paused", false]);
    await download.run();
    expect(asked).toEqual([{ range: null, ifRange: null }, { range: "bytes=300-", ifRange: '"a"' }]);
    expect([download.state.value, into.bytes]).toEqual(["done", [...file]]);
  });

  it("takes a broken connection up again by itself", async () => {
    vi.useFakeTimers();
    cuts = [200, 100];
    const into = target();
    const download = start(into);
    const ended = download.run();
    await vi.runAllTimersAsync();
    await ended;
    vi.useRealTimers();
    expect(asked.map(({ range }) => range)).toEqual([null, "bytes=200-", "bytes=300-"]);
    expect([download.state.value, into.bytes]).toEqual(["done", [...file]]);
  });

  it("stops when the file is another one meanwhile", async () => {
    const into = target(() => { if (into.bytes.length === 300) download.pause(); });
    const download = start(into);
    await download.run();
    etag = '"b"';
    await download.run();
    expect([download.state.value, download.error.value?.code, into.closed, into.bytes.length]).toEqual(["failed", "file_changed", false, 300]);
  });

  it("leaves nothing when it is cancelled", async () => {
    const into = target(() => { if (into.bytes.length === 300) void download.cancel(); });
    const download = start(into);
    await download.run();
    expect([download.state.value, into.aborted, into.closed]).toEqual(["failed", true, false]);
  });
});
