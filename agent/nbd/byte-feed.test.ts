import { expect, test } from "vitest";
import { ByteFeed } from "./byte-feed.ts";

/** Pushes bytes through the feed as a socket would, at most `step` a read. */
function push(feed: ByteFeed, bytes: Uint8Array, step: number): void {
  for (let at = 0; at < bytes.length; ) {
    const buffer = feed.nextBuffer();
    const part = bytes.subarray(at, at + Math.min(step, buffer.length));
    buffer.set(part);
    feed.received(part.length);
    at += part.length;
  }
}

const stream = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 31 + (index >> 8)) & 0xff);

test.each([1, 7, 4096, 1 << 20])("sorts bytes into headers and payloads, %d bytes a read", (step) => {
  const feed = new ByteFeed();
  const got: Uint8Array[] = [];
  const sizes = [16, 0, 100_000, 20, 8192, 3, 50_000];
  const next = (): void => {
    const size = sizes[got.length];
    if (size === undefined) return;
    const target = new Uint8Array(size);
    feed.fill(target, () => {
      got.push(target);
      next();
    });
  };
  next();
  const total = sizes.reduce((sum, size) => sum + size, 0);
  push(feed, stream.subarray(0, total), step);
  expect(Buffer.concat(got).equals(stream.subarray(0, total))).toBe(true);
  expect(got.map((part) => part.length)).toEqual(sizes);
});

test("a skipped payload leaves the following header whole", () => {
  const feed = new ByteFeed();
  const header = new Uint8Array(4);
  let isThere = false;
  feed.skip(100_000, () => feed.fill(header, () => (isThere = true)));
  push(feed, stream.subarray(0, 100_004), 10_000);
  expect(isThere).toBe(true);
  expect(header).toEqual(stream.slice(100_000, 100_004));
});

test("a released buffer gets no further byte, and the rest of its payload is dropped", () => {
  const feed = new ByteFeed();
  const target = new Uint8Array(100_000);
  const header = new Uint8Array(4);
  feed.fill(target, () => feed.fill(header, () => undefined));
  push(feed, stream.subarray(0, 40_000), 40_000);
  feed.release();
  const before = target.slice();
  push(feed, stream.subarray(40_000, 100_004), 40_000);
  expect(target).toEqual(before);
  expect(header).toEqual(stream.slice(100_000, 100_004));
});

test("offers a large destination to the socket itself", () => {
  const feed = new ByteFeed();
  const target = new Uint8Array(100_000);
  feed.fill(target, () => undefined);
  expect(feed.nextBuffer().buffer).toBe(target.buffer);
  expect(feed.isDirect).toBe(true);
});

test("gives up on a server that sends what nobody asked for", () => {
  const feed = new ByteFeed();
  expect(() => push(feed, stream, 5000)).toThrow(/nobody asked for/);
});

test("keeps what comes before anybody asks for it, up to its own size", () => {
  const feed = new ByteFeed();
  feed.fill(new Uint8Array(10), () => undefined);
  push(feed, stream.subarray(0, 16_384), 16_384);
  push(feed, stream.subarray(16_384, 16_394), 10);
  const rest = new Uint8Array(16_384);
  feed.fill(rest, () => undefined);
  expect(rest).toEqual(stream.slice(10, 16_394));
});
