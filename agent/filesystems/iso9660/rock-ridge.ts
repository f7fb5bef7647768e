// Rock Ridge entries. Source: RRIP 1.12 (IEEE P1282), 1.09 for RR; zisofs: the Linux kernel's Documentation/
// filesystems/zisofs; which count and how: fs/isofs/rock.c. Offsets within the entry; numbers in both endians.
//
//   Entry | Offset | Size | Meaning
//   SP    | 4      | 3    | BE EF, then how many bytes of every system use area come before its list
//   ER    |        |      | an extension is in use; Rock Ridge's own
//   PX    | 4      | 8×4  | mode, links, uid, gid; 1.12 adds a serial number
//   PN    | 4      | 8×2  | device number: high, low
//   SL    | 4      | 1    | flags, 1: the target goes on in the next SL
//         | 5      |      | components: flags, length, text; flags 1 goes on in the next, 2 ".", 4 "..", 8 "/"
//   NM    | 4      | 1    | flags, 1: goes on in the next NM, 2 and 4: stands for "." and ".."
//         | 5      |      | a part of the name
//   CL    | 4      | 8    | this directory was moved: its block
//   RE    |        |      | this directory was moved here: shown where its CL stands
//   TF    | 4      | 1    | flags: which times follow (see below), 0x80: in the long form
//   SF    |        |      | the file is stored as a tree of its parts
//   ZF    | 4      | 2    | "pz"
//         | 6      | 1    | size of the header / 4
//         | 7      | 1    | log2 of the block size
//         | 8      | 8    | size of the contents
import { corrupt, DiskError, unsupported } from "../../blocks/disk-error.ts";
import { toByteString, type ByteString } from "../byte-string.ts";
import type { Timestamp } from "../filesystem.ts";
import { LONG_DATE_BYTES, parseLongDate, parseShortDate, SHORT_DATE_BYTES } from "./iso-date.ts";

const MAX_NAME_BYTES = 255;
/** A page less its zero: Linux's bound. */
const MAX_TARGET_BYTES = 4095;
/** The specification has 15 to 17; Linux takes smaller ones. */
const MIN_ZISOFS_BITS = 9;
const MAX_ZISOFS_BITS = 17;

export interface ZisofsFile {
  readonly headerBytes: number;
  readonly blockBytes: number;
  readonly sizeBytes: number;
}

/** Collects what the entries of one record say. */
export class RockRidge {
  name: ByteString = "";
  isRelocated = false;
  /** The block of the directory that was moved elsewhere. */
  childBlock: number | undefined;
  mode: number | undefined;
  linkCount = 1;
  uid = 0;
  gid = 0;
  deviceMajor = 0;
  deviceMinor = 0;
  createdAt: Timestamp | undefined;
  modifiedAt: Timestamp | undefined;
  accessedAt: Timestamp | undefined;
  changedAt: Timestamp | undefined;
  target: ByteString | undefined;
  targetError: DiskError | undefined;
  zisofs: ZisofsFile | undefined;
  isSparse = false;
  /** From SP and ER, in the root's own record. */
  skipBytes: number | undefined;
  hasExtension = false;
  #isNameFull = false;

  /** Throws "corrupt" for an entry that is too short. */
  readonly visit = (signature: string, entry: Uint8Array): void => {
    const read = readers.get(signature);
    if (read === undefined) return;
    if (entry.length < read.minBytes) throw corrupt(`Rock Ridge entry ${signature}`, undefined, `${entry.length} bytes long, expected at least ${read.minBytes}`);
    read.into(this, entry, new DataView(entry.buffer, entry.byteOffset, entry.length));
  };

  /** A part that would make the name too long is left out, and all after it, as Linux does. */
  appendName(part: ByteString): void {
    this.#isNameFull ||= this.name.length + part.length > MAX_NAME_BYTES;
    if (!this.#isNameFull) this.name += part;
  }

  get isNameTruncated(): boolean {
    return this.#isNameFull;
  }
}

interface EntryReader {
  readonly minBytes: number;
  readonly into: (rock: RockRidge, entry: Uint8Array, view: DataView) => void;
}

const readers: ReadonlyMap<string, EntryReader> = new Map<string, EntryReader>([
  ["SP", { minBytes: 7, into: readSharing }],
  ["ER", { minBytes: 8, into: (rock) => (rock.hasExtension = true) }],
  ["PX", { minBytes: 36, into: readAttributes }],
  ["PN", { minBytes: 20, into: readDevice }],
  ["SL", { minBytes: 5, into: readTarget }],
  ["NM", { minBytes: 5, into: readName }],
  ["CL", { minBytes: 12, into: (rock, _, view) => (rock.childBlock = view.getUint32(4, true)) }],
  ["RE", { minBytes: 4, into: (rock) => (rock.isRelocated = true) }],
  ["TF", { minBytes: 5, into: readTimes }],
  ["SF", { minBytes: 4, into: (rock) => (rock.isSparse = true) }],
  ["ZF", { minBytes: 16, into: readZisofs }],
]);

function readSharing(rock: RockRidge, entry: Uint8Array): void {
  if (entry[4] !== 0xbe || entry[5] !== 0xef) throw corrupt("system use entry SP", undefined, `check bytes ${entry[4]}, ${entry[5]}, expected 0xbe, 0xef`);
  rock.skipBytes = entry[6]!;
}

function readAttributes(rock: RockRidge, _: Uint8Array, view: DataView): void {
  rock.mode = view.getUint32(4, true) & 0xffff;
  rock.linkCount = view.getUint32(12, true);
  rock.uid = view.getUint32(20, true);
  rock.gid = view.getUint32(28, true);
}

/** Some writers put the whole number into the low half. As in Linux, the major number has 12 bits, the minor 20. */
function readDevice(rock: RockRidge, _: Uint8Array, view: DataView): void {
  const high = view.getUint32(4, true);
  const low = view.getUint32(12, true);
  const isWhole = high === 0 && low > 0xff;
  rock.deviceMajor = (isWhole ? low >>> 8 : high) & 0xfff;
  rock.deviceMinor = isWhole ? low & 0xff : low & 0xfffff;
}

function readName(rock: RockRidge, entry: Uint8Array): void {
  const flags = entry[4]!;
  // 2 and 4 stand for "." and "..", the others were never given a meaning.
  if ((flags & ~1) !== 0) return;
  const end = entry.indexOf(0, 5);
  rock.appendName(toByteString(entry, 5, end < 0 ? entry.length : end));
}

const timeFields: readonly (readonly [flag: number, field: "createdAt" | "modifiedAt" | "accessedAt" | "changedAt"])[] = [
  [0x01, "createdAt"], [0x02, "modifiedAt"], [0x04, "accessedAt"], [0x08, "changedAt"],
];
const TF_LONG_FORM = 0x80;

function readTimes(rock: RockRidge, entry: Uint8Array): void {
  const flags = entry[4]!;
  const isLong = (flags & TF_LONG_FORM) !== 0;
  const length = isLong ? LONG_DATE_BYTES : SHORT_DATE_BYTES;
  let at = 5;
  for (const [flag, field] of timeFields) {
    if ((flags & flag) === 0) continue;
    if (at + length > entry.length) throw corrupt("Rock Ridge entry TF", undefined, `${entry.length} bytes long, flags 0x${flags.toString(16)} need more`);
    const time = isLong ? parseLongDate(entry, at) : parseShortDate(entry, at);
    if (time !== undefined) rock[field] = time;
    at += length;
  }
}

/** What flags 2, 4 and 8 stand for. */
const specialComponents: ReadonlyMap<number, ByteString> = new Map([[2, "."], [4, ".."], [8, "/"]]);

function readTarget(rock: RockRidge, entry: Uint8Array): void {
  const goesOn = (entry[4]! & 1) !== 0;
  let target = rock.target ?? "";
  let at = 5;
  while (entry.length - at >= 2) {
    const flags = entry[at]!;
    const end = at + 2 + entry[at + 1]!;
    if (end > entry.length) throw corrupt("Rock Ridge entry SL", undefined, `component of ${entry[at + 1]} bytes, ${entry.length - at - 2} are left`);
    const kind = flags & ~1;
    const special = specialComponents.get(kind);
    if (kind === 0) target += toByteString(entry, at + 2, end);
    else if (special !== undefined) target += special;
    else rock.targetError ??= unsupported(`Rock Ridge symlink component with flags 0x${flags.toString(16)}`);
    at = end;
    const isLast = entry.length - at < 2;
    // A slash after each component but the root, one that goes on, and the very last.
    if (kind !== 8 && (flags & 1) === 0 && (!isLast || goesOn)) target += "/";
  }
  if (target.includes("\0")) rock.targetError ??= corrupt("Rock Ridge entry SL", undefined, "a target that holds a zero byte");
  if (target.length > MAX_TARGET_BYTES) {
    rock.targetError ??= corrupt("Rock Ridge entry SL", undefined, `a target of more than ${MAX_TARGET_BYTES} bytes`);
    target = target.slice(0, MAX_TARGET_BYTES + 1);
  }
  rock.target = target;
}

/** Other algorithms, and block sizes that Linux can't take, leave the file as it is stored. */
function readZisofs(rock: RockRidge, entry: Uint8Array, view: DataView): void {
  const bits = entry[7]!;
  if (toByteString(entry, 4, 6) !== "pz" || bits < MIN_ZISOFS_BITS || bits > MAX_ZISOFS_BITS) return;
  rock.zisofs = { headerBytes: entry[6]! * 4, blockBytes: 2 ** bits, sizeBytes: view.getUint32(8, true) };
}
