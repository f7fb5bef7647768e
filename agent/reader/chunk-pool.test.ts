import { describe, expect, it } from "vitest";
import { ChunkPool } from "./chunk-pool.ts";

const mebibyte = 1024 * 1024;

describe("ChunkPool", () => {
  it("gives a returned buffer out again, once, and only for its own length", () => {
    const pool = new ChunkPool();
    const { buffer } = pool.take(mebibyte);
    pool.give(buffer as ArrayBuffer);
    expect(pool.take(mebibyte / 2).buffer).not.toBe(buffer);
    expect(pool.take(mebibyte).buffer).toBe(buffer);
    expect(pool.take(mebibyte).buffer).not.toBe(buffer);
  });

  it("gives whole buffers, which can be transferred", () => {
    const bytes = new ChunkPool().take(mebibyte);
    expect([bytes.byteOffset, bytes.buffer.byteLength]).toEqual([0, mebibyte]);
  });

  it("keeps a few megabytes and no small buffers", () => {
    const pool = new ChunkPool();
    const given = Array.from({ length: 20 }, () => new ArrayBuffer(mebibyte));
    for (const buffer of given) pool.give(buffer);
    const small = new ArrayBuffer(4096);
    pool.give(small);
    const kept = Array.from({ length: 20 }, () => pool.take(mebibyte).buffer as ArrayBuffer).filter((buffer) => given.includes(buffer));
    expect(kept).toHaveLength(8);
    expect(pool.take(4096).buffer).not.toBe(small);
  });
});
