// The superblocks of Linux software RAID. Source: the kernel's include/uapi/linux/raid/md_p.h and drivers/md/md.c.
//
// Version 1 (little-endian), 256 bytes and a table of roles:
//   Version | Where
//   1.0     | device size - 8 KiB, rounded down to 4 KiB
//   1.1     | 0
//   1.2     | 4096
//
//   Offset | Size | Field           | Meaning
//   0      | 4    | magic           | a92b4efc
//   4      | 4    | major version   | 1
//   8      | 4    | features        | see below
//   16     | 16   | array uuid      |
//   32     | 32   | name            | "host:name"
//   72     | 4    | level           | signed: -1 linear, 0, 1, 4, 5, 6, 10
//   76     | 4    | layout          |
//   80     | 8    | size            | sectors used of each member (not in linear and raid0)
//   88     | 4    | chunk           | in sectors
//   92     | 4    | members         | slots of the array
//   128    | 8    | data offset     | in sectors
//   136    | 8    | data size       | in sectors
//   144    | 8    | super offset    | of this superblock, in sectors
//   152    | 8    | recovery offset | up to where this member is filled, where feature 2 is set; of a journal its tail, in sectors
//   160    | 4    | device number   | of this member in the table of roles
//   184    | 1    | device flags    |
//   186    | 2    | bad block size  | of the log of bad blocks, in sectors
//   188    | 4    | bad block offset | from the superblock, in sectors, signed
//   185    | 1    | bad block shift |
//   200    | 8    | events          | the highest is the newest
//   208    | 8    | resync offset   | all ones when all members agree
//   216    | 4    | checksum        | sum of all words, folded
//   220    | 4    | roles           | entries of the table
//   256    | 2 n  | role            | slot; ffff spare, fffe faulty, fffd journal
//
// Version 0.90 (byte order of the machine that made it), 4096 bytes at the device's size rounded down to 64 KiB, minus
// 64 KiB; all fields are words:
//   Word | Field           | Meaning
//   0    | magic           | a92b4efc
//   1, 2 | version         | 0, 90 (91 while reshaping)
//   5, 13-15 | array uuid  |
//   7    | level           |
//   8    | size            | of each member, in KiB
//   10   | members         |
//   11   | minor           | the number of the array: md127
//   33   | state           | 1: clean
//   38   | checksum        |
//   39, 40 | events        | the lower word first on little-endian machines
//   64   | layout          |
//   65   | chunk           | in bytes
//   128 + 32 n | device    | number, major, minor, slot, state (1 faulty, 2 active, 4 in sync)
//   992  | this device     | likewise
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { byteStringToText, toByteString } from "../../filesystems/byte-string.ts";

export interface MdSuperblock {
  /** "0.90", "1.0", "1.1", "1.2". */
  readonly version: string;
  /** 32 hexadecimal digits. */
  readonly uuid: string;
  /** "host:name" or the minor number of 0.90. */
  readonly name: string;
  readonly level: number;
  readonly layout: number;
  readonly chunkBytes: number;
  readonly memberCount: number;
  /** Used of each member; 0 in linear and raid0. */
  readonly usedBytes: number;
  readonly dataOffset: number;
  readonly dataBytes: number;
  readonly events: number;
  readonly features: number;
  readonly isReshaping: boolean;
  /** False when members may disagree: the array was being written or is being synchronised. */
  readonly isInSync: boolean;
  /** The number of this member in `roles`. */
  readonly device: number;
  /** The slot of each device, or one of the numbers below. */
  readonly roles: readonly number[];
  /** False when this member is not yet filled: a new one, or a replacement, which has the slot of the one it replaces. */
  readonly isRecovered: boolean;
  /** Sectors of this member that can't be read, or were never written. */
  readonly badBlocks: { readonly offset: number; readonly bytes: number; readonly shift: number } | undefined;
  /** Where the journal begins, in sectors of its data; means something only where this device is the journal. */
  readonly journalTail: number;
}

export const ROLE_SPARE = 0xffff;
export const ROLE_FAULTY = 0xfffe;
export const ROLE_JOURNAL = 0xfffd;
export const FEATURE_JOURNAL = 0x200;
const FEATURE_RECOVERY_OFFSET = 0x2;
const FEATURE_RESHAPE = 0x4;
const FEATURE_BAD_BLOCKS = 0x8;
export const FEATURE_RAID0_LAYOUT = 0x1000;
/** Bitmap, recovery offset, reshape, bad blocks, replacement, backwards, new offset, recovery bitmap, clustered bitmap, journal, PPL (2), raid0 layout. */
const KNOWN_FEATURES = 0x1fff;

const MAGIC = 0xa92b4efc;
const SUPERBLOCK_1_BYTES = 256;
const MAX_ROLES = 1920;
const SUPERBLOCK_0_BYTES = 4096;
const MAX_DEVICES_0 = 27;
const ALL = 0xffff_ffff_ffff_ffffn;
const SECTOR = 512;

/**
 * The superblock of a member; undefined when there is none. A damaged one beside a good one is passed over. Throws
 * "corrupt" when there is only a damaged one, "unsupported" for features it doesn't know.
 */
export async function readMdSuperblock(source: BlockSource): Promise<MdSuperblock | undefined> {
  const { sizeBytes } = source;
  const places: [string, number][] = [
    ["1.1", 0],
    ["1.2", 4096],
    ["1.0", Math.floor((sizeBytes - 8192) / 4096) * 4096],
  ];
  let damage: unknown;
  for (const [version, offset] of places) {
    if (offset < 0 || offset + SUPERBLOCK_1_BYTES > sizeBytes) continue;
    const bytes = await source.read(offset, Math.min(SUPERBLOCK_1_BYTES + 2 * MAX_ROLES, sizeBytes - offset));
    if (word(bytes, 0, true) !== MAGIC || word(bytes, 4, true) !== 1) continue;
    try {
      return parseSuperblock1(bytes, version, offset, sizeBytes);
    } catch (error) {
      damage ??= error;
    }
  }
  const old = Math.floor(sizeBytes / 65536) * 65536 - 65536;
  if (old > 0) {
    const bytes = await source.read(old, SUPERBLOCK_0_BYTES);
    const little = word(bytes, 0, true) === MAGIC;
    if ((little || word(bytes, 0, false) === MAGIC) && word(bytes, 4, little) === 0) {
      try {
        return parseSuperblock0(bytes, little, old);
      } catch (error) {
        damage ??= error;
      }
    }
  }
  if (damage !== undefined) throw damage;
  return undefined;
}

function word(bytes: Uint8Array, offset: number, little: boolean): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, little);
}

/** @param bytes the superblock and as much of the roles as the device holds, at most 1920 */
export function parseSuperblock1(bytes: Uint8Array, version: string, offset: number, deviceBytes: number): MdSuperblock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wrong = (found: string) => corrupt(`md superblock ${version}`, offset, found);
  const long = (at: number): number => Number(view.getBigUint64(at, true));
  const roleCount = view.getUint32(220, true);
  const end = SUPERBLOCK_1_BYTES + 2 * roleCount;
  if (roleCount > MAX_ROLES || end > bytes.length) throw wrong(`${roleCount} roles, expected at most ${MAX_ROLES}`);
  let sum = 0n;
  for (let at = 0; at + 4 <= end; at += 4) if (at !== 216) sum += BigInt(view.getUint32(at, true));
  if (end % 4 === 2) sum += BigInt(view.getUint16(end - 2, true));
  const computed = Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn);
  const stored = view.getUint32(216, true);
  if (stored !== computed) throw wrong(`checksum 0x${stored.toString(16)}, computed 0x${computed.toString(16)}`);
  if (long(144) * SECTOR !== offset) throw wrong(`it says that it lies at sector ${long(144)}`);
  const features = view.getUint32(8, true);
  if ((features & ~KNOWN_FEATURES) !== 0) throw unsupported(`md superblock feature 0x${(features & ~KNOWN_FEATURES).toString(16)}`);
  const dataOffset = long(128) * SECTOR;
  const dataBytes = long(136) * SECTOR;
  if (!Number.isSafeInteger(dataOffset) || !Number.isSafeInteger(dataBytes) || dataOffset > deviceBytes) throw wrong(`${dataBytes} bytes of data at ${dataOffset} of a device of ${deviceBytes}`);
  const device = view.getUint32(160, true);
  const badBytes = (features & FEATURE_BAD_BLOCKS) !== 0 ? view.getUint16(186, true) * SECTOR : 0;
  return {
    version,
    uuid: Buffer.from(bytes.subarray(16, 32)).toString("hex"),
    name: byteStringToText(toByteString(bytes, 32, 64).replace(/\0[^]*$/, "")),
    level: view.getInt32(72, true),
    layout: view.getUint32(76, true),
    chunkBytes: view.getUint32(88, true) * SECTOR,
    memberCount: view.getUint32(92, true),
    usedBytes: long(80) * SECTOR,
    dataOffset,
    dataBytes,
    events: long(200),
    features,
    isReshaping: (features & FEATURE_RESHAPE) !== 0,
    isInSync: view.getBigUint64(208, true) === ALL,
    device,
    roles: Array.from({ length: roleCount }, (_, index) => view.getUint16(SUPERBLOCK_1_BYTES + 2 * index, true)),
    isRecovered: (features & FEATURE_RECOVERY_OFFSET) === 0 || view.getBigUint64(152, true) === ALL,
    badBlocks: badBytes === 0 ? undefined : { offset: offset + view.getInt32(188, true) * SECTOR, bytes: badBytes, shift: view.getUint8(185) },
    journalTail: long(152),
  };
}

/** @param bytes 4096 of them */
export function parseSuperblock0(bytes: Uint8Array, little: boolean, offset: number): MdSuperblock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_0_BYTES);
  const field = (index: number): number => view.getUint32(index * 4, little);
  const wrong = (found: string) => corrupt("md superblock 0.90", offset, found);
  let sum = 0n;
  for (let index = 0; index < SUPERBLOCK_0_BYTES / 4; index += 1) if (index !== 38) sum += BigInt(field(index));
  const computed = Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn);
  if (field(38) !== computed) throw wrong(`checksum 0x${field(38).toString(16)}, computed 0x${computed.toString(16)}`);
  if (field(2) !== 90 && field(2) !== 91) throw unsupported(`md superblock 0.${field(2)}`);
  const deviceCount = MAX_DEVICES_0;
  const role = (at: number): number => {
    const state = field(at + 4);
    if ((state & 1) !== 0) return ROLE_FAULTY;
    return (state & 6) === 6 ? field(at + 3) : ROLE_SPARE;
  };
  const roles = Array.from({ length: deviceCount }, (_, index) => role(128 + 32 * index));
  const usedBytes = field(8) * 1024;
  const level = view.getInt32(28, little);
  return {
    version: "0.90",
    uuid: [5, 13, 14, 15].map((index) => field(index).toString(16).padStart(8, "0")).join(""),
    name: String(field(11)),
    level,
    layout: field(64),
    chunkBytes: field(65),
    memberCount: field(10),
    usedBytes: level > 0 ? usedBytes : 0,
    dataOffset: 0,
    // Linear and striped members may differ in size: each ends before its own superblock.
    dataBytes: level > 0 ? Math.min(usedBytes, offset) : offset,
    events: little ? field(40) * 2 ** 32 + field(39) : field(39) * 2 ** 32 + field(40),
    features: 0,
    isReshaping: field(2) === 91,
    isInSync: (field(33) & 1) !== 0,
    device: field(992),
    roles,
    isRecovered: true,
    badBlocks: undefined,
    journalTail: 0,
  };
}
