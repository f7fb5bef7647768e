import { expect } from "vitest";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import type { Random } from "../tools/random.ts";

/** Alone a scan takes some 50 ms; the machine may be busy. */
const timeLimitMs = 20_000;

/**
 * Scans damaged disks and reads here and there: volumes, DiskErrors, nothing else, and soon.
 * @returns how many volumes could be read, and how many told why not
 */
export async function scanDamaged(own: BlockSource, others: readonly BlockSource[], random: Random, what: string): Promise<{ readable: number; refused: number }> {
  const startedAt = performance.now();
  let readable = 0;
  let refused = 0;
  const siblings = async () => others.map((source, index) => ({ name: `disk ${index + 1}`, source }));
  const volumes = await scanVolumes(own, { siblings });
  expect(volumes.length, what).toBeGreaterThan(0);
  expect(new Set(volumes.map((volume) => volume.name)).size, `${what}: names repeat`).toBe(volumes.length);
  for (const { source, error, name } of volumes) {
    expect(name, what).toMatch(/^[A-Za-z0-9+_.~-]+$/);
    if (error !== undefined) expect(error, what).toBeInstanceOf(DiskError);
    if (error !== undefined || source === undefined) refused += 1;
    if (source === undefined) continue;
    readable += error === undefined ? 1 : 0;
    for (const length of [512, 70_000, 300_000]) {
      const count = Math.min(length, source.sizeBytes);
      const offset = random.integer(0, Math.floor(source.sizeBytes - count) + 1);
      try {
        await source.readInto(offset, new Uint8Array(count));
        await source.read(offset, Math.min(count, 4096));
        if (count > 0) expect((await source.extents(offset, count))[0]?.offset, what).toBe(offset);
      } catch (error_) {
        expect(error_, `${what}: ${name}: ${error_ instanceof Error ? error_.stack : String(error_)}`).toBeInstanceOf(DiskError);
      }
    }
  }
  expect(performance.now() - startedAt, what).toBeLessThan(timeLimitMs);
  return { readable, refused };
}
