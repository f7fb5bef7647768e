// RAID 0 over members of different sizes: zones, each over the members that reach into it. Source: the kernel's
// drivers/md/raid0.c, and md(4) on the two layouts: until Linux 3.14 the member within a later zone was chosen by the
// address in the array ("original"), since then by the address in the zone ("alternate").
import type { BlockSource } from "../../blocks/block-source.ts";
import { lastAtOrBelow } from "../../blocks/concatenated.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { pieced, type Piece } from "../../blocks/pieced.ts";
import { FEATURE_RAID0_LAYOUT, type MdSuperblock } from "./superblock.ts";

const LAYOUT_ORIGINAL = 1;
const LAYOUT_ALTERNATE = 2;

interface Zone {
  /** In the array. */
  readonly start: number;
  /** On each of its members. */
  readonly memberStart: number;
  readonly members: readonly BlockSource[];
}

export function stripedZones(members: readonly BlockSource[], superblock: MdSuperblock, what: string): BlockSource {
  const { chunkBytes } = superblock;
  const sizes = members.map((member) => Math.floor(member.sizeBytes / chunkBytes) * chunkBytes);
  const zones: Zone[] = [];
  let memberStart = 0;
  let start = 0;
  for (const end of [...new Set(sizes)].sort((a, b) => a - b)) {
    const inside = members.filter((_, index) => sizes[index]! > memberStart);
    if (end > memberStart) zones.push({ start, memberStart, members: inside });
    start += (end - memberStart) * inside.length;
    memberStart = end;
  }
  if (zones.length === 0) throw corrupt(what, undefined, "its members have no room for a chunk");
  if (!Number.isSafeInteger(start)) throw corrupt(what, undefined, `${start} bytes`);
  const layout = (superblock.features & FEATURE_RAID0_LAYOUT) !== 0 ? superblock.layout : 0;
  if (zones.length > 1 && layout !== LAYOUT_ORIGINAL && layout !== LAYOUT_ALTERNATE) {
    throw unsupported(`${what}: its members have different sizes, and it doesn't say which of the two layouts it has (${layout})`);
  }
  const starts = zones.map((zone) => zone.start);
  return pieced(start, (offset, length) => {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + length; ) {
      const zone = zones[lastAtOrBelow(starts, at)]!;
      const inZone = at - zone.start;
      const chunk = Math.floor(inZone / chunkBytes);
      const within = inZone - chunk * chunkBytes;
      const count = Math.min(chunkBytes - within, offset + length - at);
      const row = Math.floor(chunk / zone.members.length);
      const chooser = layout === LAYOUT_ORIGINAL ? Math.floor(at / chunkBytes) : chunk;
      pieces.push({ from: zone.members[chooser % zone.members.length]!, offset: zone.memberStart + row * chunkBytes + within, length: count });
      at += count;
    }
    return pieces;
  });
}
