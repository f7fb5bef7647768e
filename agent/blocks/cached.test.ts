import { describe, expect, test } from "vitest";
import type { BlockSource } from "./block-source.ts";
import { cached } from "./cached.ts";
import { counting } from "./counting.ts";
import { faulty } from "./faulty.ts";
import { memorySource } from "./memory-source.ts";

const BLOCK = 512;
const bytes = Uint8Array.from({ length: 10 * BLOCK + 100 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
const asArray = async (read: Uint8Array | Promise<Uint8Array>) => [...(await read)];
const expected = (offset: number, length: number) => [...bytes.subarray(offset, offset + length)];

/** Answers later, as a socket does. */
function slow(source: BlockSource): BlockSource {
  return {
    sizeBytes: source.sizeBytes,
    read: async (offset, length) => {
      await new Promise((resolve) => setImmediate(resolve));
      return source.read(offset, length);
    },
    readInto: source.readInto.bind(source),
    extents: source.extents.bind(source),
  };
}

function openCache(capacityBlocks = 8) {
  const below = counting(slow(memorySource(bytes)));
  return { below, cache: cached(below, { blockSizeBytes: BLOCK, capacityBytes: capacityBlocks * BLOCK }) };
}

test("answers synchronously once a block is cached", async () => {
  const { cache, below } = openCache();
  expect(cache.read(600, 10)).toBeInstanceOf(Promise);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const again = cache.read(700, 20);
  expect(again).toBeInstanceOf(Uint8Array);
  expect(await asArray(again)).toEqual(expected(700, 20));
  expect(below.reads).toBe(1);
});

test("answers synchronously across several cached blocks", async () => {
  const { cache } = openCache();
  await cache.read(0, 2 * BLOCK);
  const again = cache.read(10, BLOCK);
  expect(again).toBeInstanceOf(Uint8Array);
  expect(await asArray(again)).toEqual(expected(10, BLOCK));
});

test("stays synchronous over a source that is", () => {
  const cache = cached(memorySource(bytes), { blockSizeBytes: BLOCK });
  expect(cache.read(100, 3 * BLOCK)).toEqual(bytes.slice(100, 100 + 3 * BLOCK));
});

test("fetches neighbouring missing blocks with one request, and only the missing ones", async () => {
  const { cache, below } = openCache(40);
  await cache.read(3 * BLOCK, 1);
  below.reset();
  expect(await asArray(cache.read(BLOCK + 5, 5 * BLOCK))).toEqual(expected(BLOCK + 5, 5 * BLOCK));
  expect(below).toMatchObject({ reads: 2, bytesRead: 5 * BLOCK });
});

test("concurrent misses of a block share one request", async () => {
  const { cache, below } = openCache(40);
  const reads = [cache.read(0, 10), cache.read(100, 10), cache.read(5, 2 * BLOCK), cache.read(BLOCK, 8)];
  expect(await asArray(reads[2]!)).toEqual(expected(5, 2 * BLOCK));
  await Promise.all(reads);
  expect(below).toMatchObject({ reads: 2, bytesRead: 3 * BLOCK });
});

test("reads the short last block", async () => {
  const { cache } = openCache();
  const offset = bytes.length - 5;
  expect(await asArray(cache.read(offset, 5))).toEqual(expected(offset, 5));
  expect(cache.read(bytes.length, 0)).toEqual(new Uint8Array(0));
});

test("forgets the least recently used block first", async () => {
  const { cache, below } = openCache(2);
  await cache.read(0, 1);
  await cache.read(BLOCK, 1);
  await cache.read(0, 1);
  await cache.read(2 * BLOCK, 1);
  below.reset();
  expect(cache.read(0, 1)).toBeInstanceOf(Uint8Array);
  expect(cache.read(BLOCK, 1)).toBeInstanceOf(Promise);
});

test("a read that would sweep out the cache goes straight to the source", async () => {
  const { cache, below } = openCache(4);
  await cache.read(0, 1);
  await cache.read(BLOCK, 8 * BLOCK);
  expect(cache.read(0, 1)).toBeInstanceOf(Uint8Array);
  expect(below.bytesRead).toBe(9 * BLOCK);
});

test("never hands out a range past the end", () => {
  const { cache } = openCache();
  expect(() => cache.read(bytes.length - 1, 2)).toThrow(expect.objectContaining({ code: "corrupt" }));
});

test("keeps its own copy: a source that reuses its buffer can't change cached bytes", async () => {
  const shared = Buffer.from(bytes);
  const cache = cached(memorySource(shared), { blockSizeBytes: BLOCK });
  await cache.read(0, 4);
  shared.fill(0);
  expect(await asArray(cache.read(0, 4))).toEqual(expected(0, 4));
});

test("hands a failed fetch to everyone who waits for it, then tries anew", async () => {
  const below = counting(faulty(slow(memorySource(bytes)), { reads: [1] }));
  const cache = cached(below, { blockSizeBytes: BLOCK });
  const outcomes = await Promise.allSettled([cache.read(0, 3 * BLOCK), cache.read(BLOCK, 1)]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(["rejected", "rejected"]);
  expect(await asArray(cache.read(BLOCK, 4))).toEqual(expected(BLOCK, 4));
  expect(below.reads).toBe(2);
});

describe("readInto", () => {
  test("uses the cache for a small range", async () => {
    const { cache, below } = openCache();
    await cache.read(0, 1);
    const target = new Uint8Array(100);
    await cache.readInto(50, target);
    expect([...target]).toEqual(expected(50, 100));
    expect(below.reads).toBe(1);
  });

  test("passes a large range straight through", async () => {
    const { cache, below } = openCache();
    const target = new Uint8Array(2 * BLOCK);
    await cache.readInto(10, target);
    expect([...target]).toEqual(expected(10, 2 * BLOCK));
    expect(cache.read(10, 1)).toBeInstanceOf(Promise);
    expect(below.bytesRead).toBe(3 * BLOCK);
  });

  test("an abort ends the caller's wait and leaves the fetch to others", async () => {
    const { cache } = openCache();
    const controller = new AbortController();
    const aborted = cache.readInto(0, new Uint8Array(10), controller.signal);
    const other = cache.read(0, 10);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
    expect(await asArray(other)).toEqual(expected(0, 10));
    await expect(cache.readInto(0, new Uint8Array(10), controller.signal)).rejects.toMatchObject({ name: "AbortError" });
  });
});
