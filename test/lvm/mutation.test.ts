import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { cached } from "../../agent/blocks/cached.ts";
import { crc32cUpdate } from "../../agent/blocks/crc32c.ts";
import { overlay } from "../../agent/blocks/overlay.ts";
import { openImageSource } from "../tools/image-source.ts";
import { Random } from "../tools/random.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { scanDamaged } from "../volumes/hostile.ts";
import { plainGroup } from "./images.ts";
import { unsettledGroups } from "./unsettled-images.ts";

// Property: damage in any structure of LVM, its checksum made to fit or not, gives a DiskError or the right kind of
// answer, in bounded time.

const lacks = guestLacks();
const runs = Number(process.env["PLUCK_MUTATIONS"] ?? 40);
const block = 4096;
const lvmCrc = (bytes: Uint8Array): number => ~crc32(bytes, ~0xf597a6cf >>> 0) >>> 0;

/** Offsets of blocks whose bytes at `at` are these. */
async function findBlocks(source: BlockSource, at: number, magic: Uint8Array): Promise<number[]> {
  const found: number[] = [];
  const chunk = new Uint8Array(1024 * 1024);
  for (let offset = 0; offset + chunk.length <= source.sizeBytes; offset += chunk.length) {
    await source.readInto(offset, chunk);
    for (let inner = 0; inner < chunk.length; inner += block) {
      if (magic.every((byte, index) => chunk[inner + at + index] === byte)) found.push(offset + inner);
    }
  }
  return found;
}

async function blocksAt(source: BlockSource, offset: number, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count * block);
  await source.readInto(offset, bytes);
  return bytes;
}

function patch(source: BlockSource, offset: number, bytes: Uint8Array): BlockSource {
  const blocks = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; at += block) blocks.set((offset + at) / block, bytes.subarray(at, at + block));
  return overlay(source, block, blocks);
}

const words = ["0", "1", "4294967296", "9007199254740993", "18446744073709551615", "-1", '"pv0"', '"root"', '"pool"', '"thin"', '"snapshot"', '"raid5_ls"', '"thin-pool"', '"cache"', "[", "]", "{", "}", "=", '"', "#", '""', "[]"];

/** Changes some tokens of the text, within its length. */
function mutateText(text: string, random: Random): string {
  let changed = text;
  for (let count = random.integer(1, 4); count > 0; count -= 1) {
    const tokens = [...changed.matchAll(/"[^"\n]*"|\b\d+\b|[{}[\]=,]/g)];
    if (tokens.length === 0) return changed;
    const token = random.pick(tokens);
    const isLike = (text: string): boolean => text.startsWith('"') === token[0].startsWith('"') && /\d/.test(text) === /\d/.test(token[0]);
    const alike = tokens.map(([text_]) => text_).filter(isLike);
    // Mostly what still parses: numbers for numbers, names for names.
    const other = random.integer(0, 5) === 0 ? random.pick(words) : random.pick(alike);
    changed = changed.slice(0, token.index) + other + changed.slice(token.index + token[0].length);
  }
  return changed;
}

describe.skipIf(lacks !== undefined)(`damaged volume groups${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("metadata text with a fitting checksum", async () => {
    const { disks } = await plainGroup();
    const second = cached(openImageSource(disks.get("b")!));
    const [label] = await findBlocks(second, 512, Buffer.from("LABELONE"));
    expect(label).toBe(0);
    const area = await blocksAt(second, block, 255);
    const view = new DataView(area.buffer);
    const offset = Number(view.getBigUint64(40, true));
    const size = Number(view.getBigUint64(48, true));
    const text = Buffer.from(area.subarray(offset, offset + size)).toString("latin1");
    const other = openImageSource(disks.get("a")!);
    let refused = 0;
    for (let seed = 1; seed <= runs; seed += 1) {
      const random = new Random(seed);
      // A sequence number above the other disk's makes this text the one that counts.
      const changed = Buffer.from(mutateText(text.replace(/seqno = \d+/, "seqno = 999"), random), "latin1");
      const damaged = Uint8Array.from(area);
      const place = 512;
      damaged.set(changed.subarray(0, damaged.length - place), place);
      const header = new DataView(damaged.buffer, 0, 512);
      header.setBigUint64(40, BigInt(place), true);
      header.setBigUint64(48, BigInt(changed.length), true);
      header.setUint32(56, lvmCrc(changed), true);
      header.setUint32(0, lvmCrc(damaged.subarray(4, 512)), true);
      refused += (await scanDamaged(cached(patch(second, block, damaged)), [cached(other)], random, `seed ${seed}`)).refused;
    }
    expect(refused).toBeGreaterThan(runs);
  });

  test("labels, headers, thin metadata and snapshot stores, their checksums fitting or not", async () => {
    const { disks } = await plainGroup();
    const [first, second] = [openImageSource(disks.get("a")!), openImageSource(disks.get("b")!)];
    const magic = new Uint8Array(8);
    new DataView(magic.buffer).setBigUint64(0, 27022010n, true);
    const targets: { source: 0 | 1; offset: number; kind: "raw" | "tree" }[] = [];
    for (const [index, source] of [first, second].entries()) {
      const which = index as 0 | 1;
      for (const offset of await findBlocks(source, 512, Buffer.from("LABELONE"))) targets.push({ source: which, offset, kind: "raw" }, { source: which, offset: offset + block, kind: "raw" });
      for (const offset of await findBlocks(source, 0, Buffer.from("SnAp"))) targets.push({ source: which, offset, kind: "raw" });
      for (const offset of await findBlocks(source, 32, magic)) {
        for (let at = 0; at < 40; at += 1) targets.push({ source: which, offset: offset + at * block, kind: "tree" });
      }
    }
    expect(targets.filter((target) => target.kind === "tree").length).toBeGreaterThanOrEqual(40);
    for (let seed = 1; seed <= runs; seed += 1) {
      const random = new Random(seed);
      const target = random.pick(targets);
      const bytes = await blocksAt(target.source === 0 ? first : second, target.offset, 1);
      const view = new DataView(bytes.buffer);
      for (let count = random.integer(1, 4); count > 0; count -= 1) {
        const at = random.integer(0, 2) === 0 ? random.integer(0, 64) * 8 : random.integer(0, 512) * 8;
        const value = random.pick([0n, 1n, 2n, 0xffn, 0xffff_ffffn, 2n ** 53n, 2n ** 64n - 1n, BigInt(random.integer(0, 2 ** 31)), view.getBigUint64(at, true) ^ (1n << BigInt(random.integer(0, 64)))]);
        view.setBigUint64(at, value, true);
      }
      if (target.kind === "tree" && random.integer(0, 4) > 0) {
        const xor = view.getBigUint64(32, true) === 27022010n && target.offset % (1024 * 1024) === 0 ? 160774 : 121107;
        view.setUint32(0, (crc32cUpdate(0xffffffff, bytes, 4, block) ^ xor) >>> 0, true);
      }
      const damaged = patch(target.source === 0 ? first : second, target.offset, bytes);
      const sources = target.source === 0 ? [damaged, second] : [first, damaged];
      await scanDamaged(cached(sources[0]!), [cached(sources[1]!)], random, `seed ${seed}: ${target.kind} at ${target.offset}`);
    }
  });

  test("the kernel's notes on RAID images, and mirror logs", async () => {
    const { disks } = await unsettledGroups();
    const sources = [...disks.values()].map((path) => openImageSource(path));
    const targets: { index: number; offset: number }[] = [];
    for (const [index, source] of sources.entries()) {
      for (const magic of [Buffer.from("DmRd"), Buffer.from("rRiM")]) for (const offset of await findBlocks(source, 0, magic)) targets.push({ index, offset });
    }
    expect(targets.length).toBeGreaterThan(8);
    for (let seed = 1; seed <= Math.ceil(runs / 2); seed += 1) {
      const random = new Random(seed);
      const target = random.pick(targets);
      const bytes = await blocksAt(sources[target.index]!, target.offset, 1);
      const view = new DataView(bytes.buffer);
      for (let count = random.integer(1, 4); count > 0; count -= 1) {
        view.setUint32(random.integer(1, 40) * 4, random.pick([0, 1, 2, 0xff, 0xffff, 0x7fffffff, 0xffffffff, random.integer(0, 2 ** 32)]), true);
      }
      const damaged = sources.map((source, index) => cached(index === target.index ? patch(source, target.offset, bytes) : source));
      // From the disk that holds them.
      const [own] = damaged.splice(target.index, 1);
      await scanDamaged(own!, damaged, random, `seed ${seed}: disk ${target.index} at ${target.offset}`);
    }
  });
});
