import { describe, expect, it } from "vitest";
import { Random } from "../../../test/tools/random.ts";
import { crc32cUpdate } from "../../blocks/crc32c.ts";
import { DiskError } from "../../blocks/disk-error.ts";
import { memorySource } from "../../blocks/memory-source.ts";
import { readJournal, replayed } from "./journal.ts";
import type { MdSuperblock } from "./superblock.ts";

const block = 4096;
const uuid = "00112233445566778899aabbccddeeff";
const seed = crc32cUpdate(0xffffffff, Buffer.from(uuid, "hex"), 0, 16);

type Payload = { type: 0 | 1; sector: number; bytes: Uint8Array } | { type: 2; stripes: number[] };

/** Lays blocks of metadata with their payloads into a ring, as the definitions in md_p.h have it. Returns the ring. */
function layOut(ringBlocks: number, tailBlock: number, blocks: readonly { sequence: number; payloads: readonly Payload[]; torn?: boolean }[]): Buffer {
  const ring = Buffer.alloc(ringBlocks * block, 0x5a);
  let at = tailBlock;
  const place = (): number => (at++ % ringBlocks) * block;
  for (const { sequence, payloads, torn } of blocks) {
    const metaAt = place();
    const meta = Buffer.alloc(block);
    meta.writeUInt32LE(0x6433c509, 0);
    meta[8] = 1;
    meta.writeBigUInt64LE(BigInt(sequence), 16);
    meta.writeBigUInt64LE(BigInt(metaAt / 512), 24);
    let end = 32;
    for (const payload of payloads) {
      meta.writeUInt16LE(payload.type, end);
      if (payload.type === 2) {
        meta.writeUInt32LE(payload.stripes.length * 8, end + 4);
        end += 8;
        for (const stripe of payload.stripes) end = meta.writeBigUInt64LE(BigInt(stripe), end);
        continue;
      }
      meta.writeUInt32LE(8, end + 4);
      meta.writeBigUInt64LE(BigInt(payload.sector), end + 8);
      meta.writeUInt32LE(crc32cUpdate(seed, payload.bytes, 0, block) >>> 0, end + 16);
      end += 20;
      const target = place();
      Buffer.from(payload.bytes).copy(ring, target);
      if (torn === true) ring[target] = ring[target]! ^ 1;
    }
    meta.writeUInt32LE(end, 12);
    meta.writeUInt32LE(crc32cUpdate(seed, meta, 0, block) >>> 0, 4);
    meta.copy(ring, metaAt);
  }
  return ring;
}

const page = (fill: number): Uint8Array => new Uint8Array(block).fill(fill);
const superblock = (tailBlock: number) => ({ uuid, journalTail: tailBlock * 8 }) as MdSuperblock;

/** The first byte of each page of an array of eight pages of 0xaa, as the journal changes it. */
async function replay(ring: Buffer, tailBlock: number): Promise<number[]> {
  const journal = memorySource(ring);
  const array = memorySource(new Uint8Array(8 * block).fill(0xaa));
  const source = replayed(array, journal, await readJournal(journal, superblock(tailBlock), "test"), "test");
  const bytes = new Uint8Array(8 * block);
  await source.readInto(0, bytes);
  return Array.from({ length: 8 }, (_, index) => {
    expect(bytes.subarray(index * block, (index + 1) * block).every((byte) => byte === bytes[index * block])).toBe(true);
    return bytes[index * block]!;
  });
}

describe("the journal of an array", () => {
  it("lays its data over the array, the last on top, around the end of the ring, and leaves out parity and flushes", async () => {
    const ring = layOut(8, 5, [
      { sequence: 7, payloads: [{ type: 0, sector: 8, bytes: page(1) }, { type: 1, sector: 0, bytes: page(2) }] },
      { sequence: 8, payloads: [{ type: 2, stripes: [0, 8] }, { type: 0, sector: 8, bytes: page(3) }, { type: 0, sector: 40, bytes: page(4) }] },
    ]);
    expect(await replay(ring, 5)).toEqual([0xaa, 3, 0xaa, 0xaa, 0xaa, 4, 0xaa, 0xaa]);
  });

  it("ends where the numbers do not go on", async () => {
    const ring = layOut(8, 0, [{ sequence: 7, payloads: [{ type: 0, sector: 8, bytes: page(1) }] }, { sequence: 9, payloads: [{ type: 0, sector: 16, bytes: page(2) }] }]);
    expect(await replay(ring, 0)).toEqual([0xaa, 1, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
  });

  it("passes over all of a block one of whose pages was not written whole", async () => {
    const ring = layOut(12, 0, [
      { sequence: 7, payloads: [{ type: 0, sector: 8, bytes: page(1) }, { type: 0, sector: 16, bytes: page(2) }], torn: true },
      { sequence: 8, payloads: [{ type: 0, sector: 24, bytes: page(3) }] },
    ]);
    expect(await replay(ring, 0)).toEqual([0xaa, 0xaa, 0xaa, 3, 0xaa, 0xaa, 0xaa, 0xaa]);
  });

  it("is empty where nothing valid stands at its tail", async () => {
    expect(await replay(Buffer.alloc(8 * block, 0x5a), 3)).toEqual(Array.from({ length: 8 }, () => 0xaa));
  });

  it("calls a tail outside, and data outside the array, damage", async () => {
    await expect(replay(Buffer.alloc(8 * block), 8)).rejects.toMatchObject({ code: "corrupt" });
    const ring = layOut(8, 0, [{ sequence: 7, payloads: [{ type: 0, sector: 64, bytes: page(1) }] }]);
    await expect(replay(ring, 0)).rejects.toMatchObject({ code: "corrupt" });
  });

  it("with any fields changed and checksums that fit: an answer or a DiskError", async () => {
    const random = new Random(4);
    for (let round = 0; round < 300; round += 1) {
      const ring = layOut(8, 0, [{ sequence: 7, payloads: [{ type: 2, stripes: [3] }, { type: 0, sector: 8, bytes: page(1) }] }, { sequence: 8, payloads: [] }]);
      const meta = ring.subarray(0, block);
      for (let count = random.integer(1, 4); count > 0; count -= 1) meta.writeUInt32LE(random.pick([0, 1, 2, 8, 0xffff, 0xffffffff, random.integer(0, 2 ** 32)]), random.integer(2, 20) * 4);
      meta.writeUInt32LE(0, 4);
      meta.writeUInt32LE(crc32cUpdate(seed, meta, 0, block) >>> 0, 4);
      await replay(ring, 0).catch((error: unknown) => expect(error).toBeInstanceOf(DiskError));
    }
  });
});
