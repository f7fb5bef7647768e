import type { Random } from "./random.ts";

export interface Mutation {
  /** For the message of a failing test: the seed and this line repeat it. */
  readonly description: string;
  /** Restores the bytes. */
  undo(): void;
}

const sectorBytes = 512;

/** Sector numbers that hold something: damage in zeros is rarely seen. */
export function nonZeroSectors(image: Uint8Array): number[] {
  const words = new Uint32Array(image.buffer, image.byteOffset, Math.floor(image.length / 4));
  const sectors: number[] = [];
  const wordsPerSector = sectorBytes / 4;
  for (let sector = 0; sector * wordsPerSector < words.length; sector += 1) {
    const end = Math.min((sector + 1) * wordsPerSector, words.length);
    for (let at = sector * wordsPerSector; at < end; at += 1) {
      if (words[at] === 0) continue;
      sectors.push(sector);
      break;
    }
  }
  return sectors;
}

const kinds = ["bit", "byte", "word", "ones", "zeros", "noise", "copy", "increment"] as const;

/** Damages the image in place, in one to four of the given sectors. */
export function mutateImage(image: Uint8Array, sectors: readonly number[], random: Random): Mutation {
  const saved: { offset: number; bytes: Uint8Array }[] = [];
  const lines: string[] = [];
  for (let count = random.integer(1, 5); count > 0; count -= 1) {
    const start = random.pick(sectors) * sectorBytes;
    const sector = image.subarray(start, Math.min(start + sectorBytes, image.length));
    saved.push({ offset: start, bytes: Uint8Array.from(sector) });
    const kind = random.pick(kinds);
    const at = random.integer(0, sector.length & ~3);
    lines.push(`${kind} at ${start + at}`);
    damage(kind, image, sector, at, random, sectors);
  }
  return {
    description: lines.join(", "),
    undo() {
      // Backwards: a sector may have been hit twice.
      for (const { offset, bytes } of saved.reverse()) image.set(bytes, offset);
    },
  };
}

function damage(
  kind: (typeof kinds)[number],
  image: Uint8Array,
  sector: Uint8Array,
  at: number,
  random: Random,
  sectors: readonly number[],
): void {
  const view = new DataView(sector.buffer, sector.byteOffset, sector.length);
  const word = at & ~3;
  switch (kind) {
    case "bit":
      sector[at] = sector[at]! ^ (1 << random.integer(0, 8));
      return;
    case "byte":
      sector[at] = random.integer(0, 256);
      return;
    case "word":
      view.setUint32(word, random.integer(0, 2 ** 32), true);
      return;
    case "ones":
      view.setUint32(word, 0xffffffff, true);
      return;
    case "zeros":
      sector.fill(0, at, Math.min(sector.length, at + random.integer(1, sectorBytes + 1)));
      return;
    case "noise":
      sector.set(random.bytes(sector.length));
      return;
    case "increment":
      view.setUint32(word, (view.getUint32(word, true) + random.pick([1, -1, 2, 0x100, 0x10000])) >>> 0, true);
      return;
    case "copy": {
      const other = random.pick(sectors) * sectorBytes;
      sector.set(Uint8Array.from(image.subarray(other, Math.min(other + sector.length, image.length))));
    }
  }
}
