// The hash of a directory's index. Reading a directory doesn't need it; Linux shows it in the names
// of encrypted directories whose key isn't there.
// Source: Linux Documentation/filesystems/ext4/directory.rst ("Hash Tree Directories") and fs/ext4/hash.c.

export interface NameHash {
  readonly major: number;
  readonly minor: number;
}

/** dx_root_info.hash_version; 3 to 5 are the first three over unsigned characters. */
const hashVersion = { legacy: 0, halfMd4: 1, tea: 2, firstUnsigned: 3, tooHigh: 6 } as const;

/** The hash that stands for "no further entries". */
const endOfDirectory = 0x7fffffff;
const initialWords = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;

/**
 * @param version of the hash, 0 to 5; undefined for others
 * @param seed of the filesystem; all zeros means the built-in one
 */
export function hashName(name: Uint8Array, version: number, seed: readonly number[]): NameHash | undefined {
  if (version >= hashVersion.tooHigh) return undefined;
  const unsigned = version >= hashVersion.firstUnsigned;
  const words = Uint32Array.from(seed.some((word) => word !== 0) ? seed : initialWords);
  let major = 0;
  let minor = 0;
  switch (version % hashVersion.firstUnsigned) {
    case hashVersion.legacy:
      major = legacyHash(name, unsigned);
      break;
    case hashVersion.halfMd4:
      for (let at = 0; at < name.length; at += 32) halfMd4(words, packWords(name, at, 8, unsigned));
      major = words[1]!;
      minor = words[2]!;
      break;
    default:
      for (let at = 0; at < name.length; at += 16) tea(words, packWords(name, at, 4, unsigned));
      major = words[0]!;
      minor = words[1]!;
  }
  major = (major & ~1) >>> 0;
  if (major === (endOfDirectory << 1) >>> 0) major = ((endOfDirectory - 1) << 1) >>> 0;
  return { major, minor };
}

function toCharacter(byte: number, unsigned: boolean): number {
  return unsigned || byte < 128 ? byte : byte - 256;
}

function legacyHash(name: Uint8Array, unsigned: boolean): number {
  let hash = 0x12a3fe2d;
  let previous = 0x37abe8f9;
  for (const byte of name) {
    let following = (previous + (hash ^ Math.imul(toCharacter(byte, unsigned), 7152373))) >>> 0;
    if ((following & 0x80000000) !== 0) following = (following - 0x7fffffff) >>> 0;
    previous = hash;
    hash = following;
  }
  return (hash << 1) >>> 0;
}

/** `count` words of the rest of the name from `start` on, padded with its length. */
function packWords(name: Uint8Array, start: number, count: number, unsigned: boolean): Uint32Array {
  const rest = name.length - start;
  const length = Math.min(rest, count * 4);
  const pad = ((rest & 0xff) | ((rest & 0xff) << 8)) >>> 0;
  const filler = (pad | (pad << 16)) >>> 0;
  const words = new Uint32Array(count).fill(filler);
  let value = filler;
  let filled = 0;
  for (let i = 0; i < length; i++) {
    value = (toCharacter(name[start + i]!, unsigned) + (value << 8)) >>> 0;
    if (i % 4 === 3) {
      words[filled++] = value;
      value = filler;
    }
  }
  if (filled < count) words[filled] = value;
  return words;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

const select = (x: number, y: number, z: number) => z ^ (x & (y ^ z));
const majority = (x: number, y: number, z: number) => (x & y) + ((x ^ y) & z);
const parity = (x: number, y: number, z: number) => x ^ y ^ z;

/** Three rounds of MD4, each over eight words in an order of its own. */
const rounds = [
  { mix: select, constant: 0, order: [0, 1, 2, 3, 4, 5, 6, 7], shifts: [3, 7, 11, 19] },
  { mix: majority, constant: 0x5a827999, order: [1, 3, 5, 7, 0, 2, 4, 6], shifts: [3, 5, 9, 13] },
  { mix: parity, constant: 0x6ed9eba1, order: [3, 7, 2, 6, 1, 5, 0, 4], shifts: [3, 9, 11, 15] },
] as const;

function halfMd4(state: Uint32Array, input: Uint32Array): void {
  const words = Int32Array.from(state);
  for (const { mix, constant, order, shifts } of rounds) {
    order.forEach((word, step) => {
      // The roles of a, b, c, d move round: a, d, c, b.
      const a = (4 - (step % 4)) % 4;
      const sum = words[a]! + mix(words[(a + 1) % 4]!, words[(a + 2) % 4]!, words[(a + 3) % 4]!) + input[word]! + constant;
      words[a] = rotate(sum | 0, shifts[step % 4]!);
    });
  }
  for (let i = 0; i < 4; i++) state[i] = state[i]! + words[i]!;
}

function tea(state: Uint32Array, input: Uint32Array): void {
  const delta = 0x9e3779b9;
  let sum = 0;
  let left = state[0]!;
  let right = state[1]!;
  for (let round = 0; round < 16; round++) {
    sum = (sum + delta) >>> 0;
    left = (left + ((((right << 4) >>> 0) + input[0]!) ^ (right + sum) ^ ((right >>> 5) + input[1]!))) >>> 0;
    right = (right + ((((left << 4) >>> 0) + input[2]!) ^ (left + sum) ^ ((left >>> 5) + input[3]!))) >>> 0;
  }
  state[0] = state[0]! + left;
  state[1] = state[1]! + right;
}
