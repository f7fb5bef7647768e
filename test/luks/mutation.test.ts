import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import type { LuksHeader } from "../../agent/volumes/luks/header.ts";
import { readLuksHeader, readLuksIdentity, unlockLuks } from "../../agent/volumes/luks/luks.ts";
import { mutateImage } from "../tools/mutate-image.ts";
import { Random } from "../tools/random.ts";
import { hasCryptsetup, makeExt4, makeLuks1, passphrase, toLuks2 } from "./images.ts";

const isThere = await hasCryptsetup();
const mutationCount = Number(process.env["PLUCK_MUTATIONS"] ?? 25);
const seed = Number(process.env["PLUCK_MUTATION_SEED"] ?? 1);
/** Reading and checking a header, on a machine under load. */
const headerLimitMs = 10_000;
/** Headers that ask for more work than this are read, but not tried: hours of this test would go into keys. */
const triedIterations = 20_000;
const headerBytes = 16_384;

describe.skipIf(!isThere)(`damaged LUKS headers (${mutationCount} times, seed ${seed}; passed over: no cryptsetup)`, () => {
  let folder: string;
  const images = new Map<string, Buffer>();

  beforeAll(async () => {
    folder = await mkdtemp("/dev/shm/pluck-luks-");
    const plain = join(folder, "plain");
    await makeExt4(folder, plain, "in the vault\n");
    await makeLuks1(folder, plain, join(folder, "luks1"));
    await toLuks2(join(folder, "luks1"), join(folder, "luks2"));
    for (const name of ["luks1", "luks2"]) images.set(name, await readFile(join(folder, name)));
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  const sectors = (from: number, to: number): number[] => Array.from({ length: (to - from) / 512 }, (_, index) => from / 512 + index);

  test.each([
    ["luks1", sectors(0, 1024), undefined],
    ["luks1", sectors(4096, 262_144), undefined],
    ["luks2", sectors(0, 32_768), undefined],
    ["luks2", sectors(0, 512), fixChecksums],
    ["luks2", sectors(4096, 6144), fixChecksums],
    ["luks2", sectors(32_768, 262_144), undefined],
  ] as const)("%s: a typed error, a wrong key or the data, in time", { timeout: 600_000 }, async (name, where, repair) => {
    const image = Buffer.from(images.get(name)!);
    const outcomes = new Map<string, number>();
    for (let index = 0; index < mutationCount; index += 1) {
      const random = new Random(seed * 100_003 + index);
      const saved = Buffer.from(image.subarray(0, headerBytes * 2));
      const mutation = mutateImage(image, where, random);
      repair?.(image);
      const outcome = await attempt(image, `${name}, mutation ${index}: ${mutation.description}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      mutation.undo();
      saved.copy(image);
    }
    // Damage that nobody notices would mean that nothing was tested.
    expect([...outcomes.keys()].some((outcome) => outcome !== "opened"), JSON.stringify([...outcomes])).toBe(true);
  });

  async function attempt(image: Buffer, description: string): Promise<string> {
    const source = memorySource(image);
    const startedAt = performance.now();
    try {
      await readLuksIdentity(source);
      let header: LuksHeader;
      try {
        header = await readLuksHeader(source);
      } finally {
        expect(performance.now() - startedAt, description).toBeLessThan(headerLimitMs);
      }
      const work = header.keyslots.reduce((sum, { derivation, digest }) => sum + digest.iterations + (derivation.type === "pbkdf2" ? derivation.iterations : derivation.memoryKib * derivation.passes), 0);
      if (work > triedIterations) return "costly";
      const plain = await unlockLuks(source, header, Buffer.from(passphrase));
      if (plain === undefined) return "wrong key";
      await plain.readInto(0, new Uint8Array(Math.min(plain.sizeBytes, 65_536)));
      return "opened";
    } catch (error) {
      if (!(error instanceof DiskError)) throw new Error(`${description}: no typed error`, { cause: error });
      return error.code;
    }
  }
});

/** Damage with a right checksum, as whoever means harm writes it: else nothing behind the checksum is ever read. */
function fixChecksums(image: Buffer): void {
  // The second copy would stand in for the first.
  image.fill(0, headerBytes, headerBytes + 8);
  const first = image.subarray(0, headerBytes);
  first.fill(0, 448, 512);
  createHash("sha256").update(first).digest().copy(first, 448);
}
