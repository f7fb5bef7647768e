import { describe, expect, test } from "vitest";
import { DiskError } from "../../blocks/disk-error.ts";
import type { Chunk, Profile } from "./chunk-item.ts";
import { ChunkMap } from "./chunk-map.ts";

const KiB64 = 65_536;
const base = 1024 * 1024;

function mapOf(profile: Profile, devices: number, lengthBytes = 64 * KiB64): ChunkMap {
  const stripes = Array.from({ length: devices }, (_, index) => ({ deviceId: index + 1, offsetBytes: (index + 1) * 1_000_000_000, deviceUuid: `${index}` }));
  const chunks = new ChunkMap();
  chunks.add({ logical: base, lengthBytes, profile, stripes } satisfies Chunk);
  return chunks;
}

/** "device:offset on it:length" of each piece. */
function show(chunks: ChunkMap, offset: number, length: number, copy = 0): string[] {
  return chunks.pieces(base + offset, length, copy).map(({ stripe, offsetBytes, length: bytes }) => `${stripe.deviceId}:${offsetBytes - stripe.offsetBytes}:${bytes}`);
}

// The layouts as the btrfs on-disk format pages and mkfs.btrfs(8) describe them.
describe("where a logical range lies", () => {
  test("single and mirrored: in one piece, on each device alike", () => {
    expect(show(mapOf("single", 1), 100, 200_000)).toEqual(["1:100:200000"]);
    const mirrored = mapOf("raid1c3", 3);
    expect(mirrored.copyCount(base)).toBe(3);
    expect([0, 1, 2].map((copy) => show(mirrored, 5, 10, copy))).toEqual([["1:5:10"], ["2:5:10"], ["3:5:10"]]);
  });

  test("raid0: stripe by stripe in turn", () => {
    expect(show(mapOf("raid0", 3), KiB64 - 10, 2 * KiB64 + 20)).toEqual([`1:${KiB64 - 10}:10`, `2:0:${KiB64}`, `3:0:${KiB64}`, `1:${KiB64}:10`]);
  });

  test("raid10: in turn over pairs", () => {
    const chunks = mapOf("raid10", 4);
    expect(show(chunks, KiB64, 2 * KiB64)).toEqual([`3:0:${KiB64}`, `1:${KiB64}:${KiB64}`]);
    expect(show(chunks, KiB64, 2 * KiB64, 1)).toEqual([`4:0:${KiB64}`, `2:${KiB64}:${KiB64}`]);
  });

  test("raid5: each row begins one device further", () => {
    const chunks = mapOf("raid5", 3);
    expect(show(chunks, 0, 4 * KiB64)).toEqual([`1:0:${KiB64}`, `2:0:${KiB64}`, `2:${KiB64}:${KiB64}`, `3:${KiB64}:${KiB64}`]);
    const [piece] = chunks.pieces(base + 2 * KiB64, 10, 1);
    expect(piece?.rebuild?.p?.stripe.deviceId).toBe(1);
  });

  test("a range over two chunks is cut between them; a hole between chunks is corrupt", () => {
    const chunks = mapOf("single", 1, KiB64);
    chunks.add({ logical: base + KiB64, lengthBytes: KiB64, profile: "single", stripes: [{ deviceId: 9, offsetBytes: 0, deviceUuid: "" }] });
    expect(show(chunks, KiB64 - 1, 2)).toEqual([`1:${KiB64 - 1}:1`, "9:0:1"]);
    expect(() => show(chunks, 2 * KiB64 - 1, 2)).toThrow(DiskError);
    expect(() => show(chunks, -1, 1)).toThrow(DiskError);
  });

  test("chunks that overlap are corrupt", () => {
    const chunks = mapOf("single", 1);
    expect(() => chunks.add({ logical: base + KiB64, lengthBytes: KiB64, profile: "single", stripes: [] })).toThrow(DiskError);
    expect(() => chunks.add({ logical: base - KiB64, lengthBytes: 2 * KiB64, profile: "single", stripes: [] })).toThrow(DiskError);
  });
});
