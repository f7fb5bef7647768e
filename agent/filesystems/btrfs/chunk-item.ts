// A chunk: a run of logical addresses and the devices it lies on.
// Source: Linux include/uapi/linux/btrfs_tree.h (struct btrfs_chunk), fs/btrfs/tree-checker.c for what is valid.
//
// Offset | Size | Field       | Meaning
// 0x00   | 8    | length      | bytes of logical address space
// 0x08   | 8    | owner       |
// 0x10   | 8    | stripe_len  | 65536
// 0x18   | 8    | type        | what it holds, and its profile
// 0x2c   | 2    | num_stripes |
// 0x2e   | 2    | sub_stripes | copies of a stripe with raid10: 2
// 0x30   | 32×n | stripes     | u64 devid, u64 offset on it, 16 bytes of the device's uuid
import { corrupt } from "../../blocks/disk-error.ts";
import { readUInt64 } from "./key.ts";

export const stripeBytes = 65_536;
const headerBytes = 0x30;
const stripeItemBytes = 32;
/** More than fit into the largest node. */
const maxStripes = 2048;

export type Profile = "single" | "dup" | "raid0" | "raid1" | "raid10" | "raid5" | "raid6" | "raid1c3" | "raid1c4";

export interface Stripe {
  readonly deviceId: number;
  readonly offsetBytes: number;
  readonly deviceUuid: string;
}

export interface Chunk {
  readonly logical: number;
  readonly lengthBytes: number;
  readonly profile: Profile;
  readonly stripes: readonly Stripe[];
}

const dataBits = 0x7n;
const profileMask = 0x7f8n;
/** Bit of the type; how many stripes there may be. */
const profiles: readonly (readonly [bit: bigint, profile: Profile, min: number, max: number])[] = [
  [0n, "single", 1, 1],
  [1n << 3n, "raid0", 1, maxStripes],
  [1n << 4n, "raid1", 2, 2],
  [1n << 5n, "dup", 2, 2],
  [1n << 6n, "raid10", 2, maxStripes],
  [1n << 7n, "raid5", 2, maxStripes],
  [1n << 8n, "raid6", 3, maxStripes],
  [1n << 9n, "raid1c3", 3, 3],
  [1n << 10n, "raid1c4", 4, 4],
];

/** Size of the chunk item at `at`, which the number of its stripes decides. */
export function chunkItemBytes(bytes: Buffer, at: number): number {
  return headerBytes + bytes.readUInt16LE(at + 0x2c) * stripeItemBytes;
}

/** @param logical the offset of its key. Throws "corrupt" for what Linux would not map. */
export function parseChunk(bytes: Buffer, at: number, end: number, logical: number, sectorBytes: number): Chunk {
  const fail = (found: string) => corrupt(`btrfs chunk at logical ${logical}`, undefined, found);
  if (end - at < headerBytes + stripeItemBytes) throw fail(`${end - at} bytes, expected at least ${headerBytes + stripeItemBytes}`);
  const count = bytes.readUInt16LE(at + 0x2c);
  if (count === 0 || count > maxStripes) throw fail(`num_stripes ${count}`);
  if (end - at !== headerBytes + count * stripeItemBytes) throw fail(`${end - at} bytes for ${count} stripes`);
  const lengthBytes = readUInt64(bytes, at);
  if (!Number.isSafeInteger(logical) || logical % sectorBytes !== 0) throw fail("its address is no multiple of the sectorsize");
  if (lengthBytes === 0 || lengthBytes % sectorBytes !== 0 || !Number.isSafeInteger(logical + lengthBytes)) throw fail(`length ${lengthBytes}`);
  if (readUInt64(bytes, at + 0x10) !== stripeBytes) throw fail(`stripe_len ${readUInt64(bytes, at + 0x10)}, expected ${stripeBytes}`);
  const type = bytes.readBigUInt64LE(at + 0x18);
  if ((type & dataBits) === 0n) throw fail(`type 0x${type.toString(16)} holds nothing`);
  const found = profiles.find(([bit]) => bit === (type & profileMask));
  if (found === undefined) throw fail(`type 0x${type.toString(16)} has more than one profile`);
  const [, profile, min, max] = found;
  if (count < min || count > max) throw fail(`${count} stripes with profile ${profile}`);
  const subStripes = bytes.readUInt16LE(at + 0x2e);
  if (profile === "raid10" && (subStripes !== 2 || count % 2 !== 0)) throw fail(`sub_stripes ${subStripes} with ${count} stripes, expected 2`);
  const stripes: Stripe[] = [];
  for (let index = 0; index < count; index++) {
    const stripe = at + headerBytes + index * stripeItemBytes;
    stripes.push({
      deviceId: readUInt64(bytes, stripe),
      offsetBytes: readUInt64(bytes, stripe + 8),
      deviceUuid: showUuid(bytes.subarray(stripe + 16, stripe + 32)),
    });
  }
  return { logical, lengthBytes, profile, stripes };
}

/** Whether all that the chunk holds can be read from those of its stripes that `isAtHand` has. */
export function isReadable({ profile, stripes }: Chunk, isAtHand: (stripe: Stripe) => boolean): boolean {
  const missing = stripes.filter((stripe) => !isAtHand(stripe)).length;
  switch (profile) {
    case "single":
    case "raid0":
      return missing === 0;
    case "raid5":
      return missing <= 1;
    case "raid6":
      return missing <= 2;
    case "raid10":
      // Each column has two copies, side by side.
      return stripes.every((stripe, index) => isAtHand(stripe) || isAtHand(stripes[index ^ 1]!));
    default:
      return missing < stripes.length;
  }
}

export function showUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
