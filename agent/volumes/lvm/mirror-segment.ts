// Mirrors of device-mapper's old mirror target, also those by which pvmove moves extents. The first copy is always
// complete; of the others only what a log on a disk calls clean. Source: the Linux kernel's drivers/md/dm-raid1.c and
// dm-log.c; numbers little-endian.
//
// The log:
//   Offset | Size | Field   | Meaning
//   0      | 4    | magic   | 0x4d695272 ("rRiM")
//   4      | 4    | version | 2
//   8      | 8    | regions | how many there are bits for
//   1024   |      | bits    | one a region, from the lowest bit of the first byte on: 1 where all copies agree
import type { BlockSource } from "../../blocks/block-source.ts";
import { concatenated, type Part } from "../../blocks/concatenated.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { mirrored } from "../../blocks/mirrored.ts";
import { MissingMember } from "../missing-member.ts";
import type { OpenGroup } from "./logical-volume.ts";
import { list, number, type Segment } from "./volume-group.ts";

const MAGIC = 0x4d695272;
const VERSION = 2;
const HEADER_BYTES = 16;
const BITS_OFFSET = 1024;
/** LVM's own limit is far below: a region is 512 KiB or more. */
const MAX_REGIONS = 64 * 1024 * 1024;

/** Throws MissingMember when the first copy is missing and nothing tells that the others are complete. */
export async function openMirrorSegment(group: OpenGroup, segment: Segment, bytes: number, depth: number, what: string): Promise<BlockSource> {
  const areas = list(segment.section, "mirrors", what);
  const copies: (BlockSource | undefined)[] = [];
  let missing: MissingMember | undefined;
  for (let index = 0; index < areas.length; index += 2) {
    try {
      copies.push(...(await group.openAreas(areas.slice(index, index + 2), bytes, depth, what)));
    } catch (error) {
      if (!(error instanceof MissingMember) || !group.degraded) throw error;
      missing ??= error;
      copies.push(undefined);
    }
  }
  const there = copies.filter((copy) => copy !== undefined);
  if (there.length === 0) throw missing ?? corrupt(what, undefined, "a mirror without copies");
  const [first] = copies;
  const clean = await readCleanRegions(group, segment, bytes, depth, what);
  if (clean === undefined) {
    if (first === undefined) throw new MissingMember(`${missing!.message}; nothing tells how far the other copies were filled`);
    return first;
  }
  const agreed = mirrored(there, bytes);
  const alone = first ?? unsupported(`${what}: this part was not yet copied from the first copy, which is missing`);
  const parts: Part[] = [];
  for (let at = 0; at < bytes; ) {
    const isClean = clean.isClean(at);
    let end = at;
    while (end < bytes && clean.isClean(end) === isClean) end = Math.min(end + clean.regionBytes, bytes);
    parts.push({ from: isClean ? agreed : alone, offset: at, lengthBytes: end - at });
    at = end;
  }
  return concatenated(parts);
}

interface CleanRegions {
  readonly regionBytes: number;
  isClean(offsetBytes: number): boolean;
}

/** Undefined where the log was kept in memory only, or is missing. */
async function readCleanRegions(group: OpenGroup, segment: Segment, bytes: number, depth: number, what: string): Promise<CleanRegions | undefined> {
  const name = segment.section.values.get("mirror_log");
  if (typeof name !== "string") return undefined;
  let log: BlockSource;
  try {
    log = await group.open(name, depth + 1);
  } catch (error) {
    if (error instanceof MissingMember && group.degraded) return undefined;
    throw error;
  }
  const regionBytes = number(segment.section, "region_size", what) * 512;
  if (regionBytes === 0 || bytes / regionBytes > MAX_REGIONS) throw corrupt(what, undefined, `regions of ${regionBytes} bytes for ${bytes}`);
  const header = await log.read(0, HEADER_BYTES);
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  const magic = view.getUint32(0, true);
  // The kernel writes the header when it first activates the mirror; until then nothing was copied.
  if (magic !== MAGIC) return undefined;
  if (view.getUint32(4, true) !== VERSION) throw unsupported(`${what}: mirror log version ${view.getUint32(4, true)}`);
  const regions = Math.min(Math.ceil(bytes / regionBytes), Number(view.getBigUint64(8, true)));
  const bitBytes = Math.ceil(regions / 8);
  if (BITS_OFFSET + bitBytes > log.sizeBytes) throw corrupt(`${what}: mirror log`, 0, `${regions} regions in ${log.sizeBytes} bytes`);
  const bits = Uint8Array.from(await log.read(BITS_OFFSET, bitBytes));
  return {
    regionBytes,
    isClean(offsetBytes) {
      const region = Math.floor(offsetBytes / regionBytes);
      return region < regions && (bits[region >> 3]! & (1 << (region & 7))) !== 0;
    },
  };
}
