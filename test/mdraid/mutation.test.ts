import { describe, expect, test } from "vitest";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { cached } from "../../agent/blocks/cached.ts";
import { overlay } from "../../agent/blocks/overlay.ts";
import { openImageSource } from "../tools/image-source.ts";
import { Random } from "../tools/random.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { scanDamaged } from "../volumes/hostile.ts";
import { oddArrays } from "./images.ts";
import { unsettledArrays } from "./unsettled-images.ts";

const lacks = guestLacks();
const runs = Number(process.env["PLUCK_MUTATIONS"] ?? 30);
const block = 4096;

function fitChecksum(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, block);
  const isOld = view.getUint32(4, true) === 0;
  const [at, end] = isOld ? [152, block] : [216, 256 + 2 * view.getUint32(220, true)];
  view.setUint32(at, 0, true);
  let sum = 0n;
  for (let word = 0; word + 4 <= Math.min(end, block); word += 4) sum += BigInt(view.getUint32(word, true));
  if (end % 4 === 2 && end <= block) sum += BigInt(view.getUint16(end - 2, true));
  view.setUint32(at, Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn), true);
}

describe.skipIf(lacks !== undefined)(`damaged arrays${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test.each([
    ["stopped", oddArrays, runs],
    ["with journals and logs of bad blocks", unsettledArrays, Math.ceil(runs / 3)],
  ] as const)("superblocks with fitting and other checksums, of arrays %s: a DiskError or an answer, soon", async (_, make, count) => {
    const { disks } = await make();
    const sources = [...disks.values()].map((path) => openImageSource(path));
    const targets: { index: number; offset: number }[] = [];
    for (const [index, source] of sources.entries()) {
      for (let offset = 0; offset < source.sizeBytes; offset += block) {
        const bytes = await source.read(offset, 8);
        if (bytes[0] === 0xfc && bytes[1] === 0x4e && bytes[2] === 0x2b && bytes[3] === 0xa9) targets.push({ index, offset });
      }
    }
    expect(targets.length).toBeGreaterThan(15);
    for (let seed = 1; seed <= count; seed += 1) {
      const random = new Random(seed);
      const patched = new Map<number, Map<number, Uint8Array>>();
      for (let changes = random.integer(1, 4); changes > 0; changes -= 1) {
        const { index, offset } = random.pick(targets);
        const bytes = Uint8Array.from(await sources[index]!.read(offset, block));
        const view = new DataView(bytes.buffer);
        for (let fields = random.integer(1, 4); fields > 0; fields -= 1) {
          const at = random.integer(1, 72) * 4;
          view.setUint32(at, random.pick([0, 1, 2, 5, 6, 10, 0xff, 0xffff, 0x7fffffff, 0xffffffff, random.integer(0, 2 ** 32)]), true);
        }
        if (random.integer(0, 5) > 0) fitChecksum(bytes);
        const blocks = patched.get(index) ?? new Map<number, Uint8Array>();
        blocks.set(offset / block, bytes);
        patched.set(index, blocks);
      }
      const order = sources.map((source, index): BlockSource => cached(overlay(source, block, patched.get(index) ?? new Map())));
      await scanDamaged(order[0]!, order.slice(1), random, `seed ${seed}`);
    }
  });
});
