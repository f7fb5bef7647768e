import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { mirrored } from "../../blocks/mirrored.ts";
import { MissingMember } from "../missing-member.ts";
import { parityArray } from "../raid/parity-array.ts";
import { type ParityLayout, raid5Layouts, raid6Layouts } from "../raid/parity-layout.ts";
import { isRaid10Complete, raid10, raid10Geometry } from "../raid/raid10.ts";
import { striped } from "../raid/striped.ts";
import type { OpenGroup } from "./logical-volume.ts";
import { parseRaidSuperblock, RAID_SUPERBLOCK_BYTES, type RaidSuperblock } from "./raid-superblock.ts";
import { list, number, type Segment } from "./volume-group.ts";

/** LVM's names for the layouts of device-mapper's raid target, which are those of md (drivers/md/dm-raid.c). */
const parityLayouts: ReadonlyMap<string, ParityLayout> = new Map([
  ["raid4", raid5Layouts.get(4)!],
  ["raid5", raid5Layouts.get(2)!],
  ["raid5_la", raid5Layouts.get(0)!],
  ["raid5_ra", raid5Layouts.get(1)!],
  ["raid5_ls", raid5Layouts.get(2)!],
  ["raid5_rs", raid5Layouts.get(3)!],
  ["raid5_n", raid5Layouts.get(5)!],
  ["raid6", raid6Layouts.get(8)!],
  ["raid6_zr", raid6Layouts.get(8)!],
  ["raid6_nr", raid6Layouts.get(9)!],
  ["raid6_nc", raid6Layouts.get(10)!],
  ["raid6_n_6", raid6Layouts.get(5)!],
  ["raid6_la_6", raid6Layouts.get(16)!],
  ["raid6_ra_6", raid6Layouts.get(17)!],
  ["raid6_ls_6", raid6Layouts.get(18)!],
  ["raid6_rs_6", raid6Layouts.get(19)!],
]);

interface Member {
  readonly source: BlockSource;
  readonly superblock: RaidSuperblock | undefined;
}

/** A segment of a RAID type: its images, and beside each (but in raid0) a small volume with the kernel's notes. */
export async function openRaidSegment(group: OpenGroup, segment: Segment, bytes: number, depth: number, what: string): Promise<BlockSource> {
  const { type, section } = segment;
  for (const key of ["reshape_count", "data_offset"]) {
    const value = section.values.get(key);
    if (value !== undefined && value !== 0) throw unsupported(`${what}: it is being reshaped, or keeps the space for it (${key} ${String(value)})`);
  }
  const hasMetadata = section.values.has("raids");
  const areas = list(section, hasMetadata ? "raids" : "raid0_lvs", what);
  const step = hasMetadata ? 2 : 1;
  if (areas.length === 0 || areas.length % step !== 0 || areas.length / step > 255) throw corrupt(what, undefined, `${areas.length} items in its list of images`);
  const members: (Member | undefined)[] = [];
  let missing: MissingMember | undefined;
  for (let index = 0; index < areas.length; index += step) {
    try {
      members.push(await openMember(group, hasMetadata ? areas[index] : undefined, areas[index + step - 1], depth, what));
    } catch (error) {
      if (!(error instanceof MissingMember) || !group.degraded) throw error;
      missing ??= error;
      members.push(undefined);
    }
  }
  const newest = newestSuperblock(members, what);
  const sources = withoutStale(members, newest);
  const isInSync = newest?.isInSync !== false;
  // Where images were not yet made to agree, the first of them is the one that counts.
  const isAbsent = (slot: number): boolean => members[slot] === undefined && newest?.failed(slot) !== true;
  const absent = members.flatMap((_, slot) => (isAbsent(slot) ? [slot] : []));
  const assertComplete = (slots: readonly number[]): void => {
    if (!isInSync && slots.length > 0) throw unsupported(`${what}: its images were still being synchronised, and image ${slots.join(", ")} is missing`);
  };
  const left = sources.filter((source) => source !== undefined);
  const tooFew = (): Error => missing ?? unsupported(`${what}: only ${left.length} of its ${sources.length} images hold current data, too few for ${type}`);

  if (type === "raid1") {
    if (left.length === 0) throw tooFew();
    const first = sources.findIndex((source) => source !== undefined);
    assertComplete(absent.filter((slot) => slot < first));
    remarkOnAbsent(group, segment, absent, what);
    return mirrored(isInSync ? left : left.slice(0, 1), bytes);
  }
  const chunkBytes = number(section, "stripe_size", what) * 512;
  if (chunkBytes === 0) throw corrupt(what, undefined, "stripe_size 0");
  const layout = parityLayouts.get(type);
  if (layout !== undefined) {
    if (sources.length - layout.parityCount < 1) throw corrupt(what, undefined, `${sources.length} images for ${type}`);
    if (sources.length - left.length > layout.parityCount) throw tooFew();
    assertComplete(sources.flatMap((source, slot) => (source === undefined ? [slot] : [])));
    return parityArray({ members: sources, layout, chunkBytes, sizeBytes: bytes });
  }
  if (type === "raid0" || type === "raid0_meta") {
    if (left.length < sources.length) throw tooFew();
    return striped(left, chunkBytes, bytes);
  }
  if (type === "raid10" || type === "raid10_near") {
    const copies = section.values.get("data_copies") ?? 2;
    if (typeof copies !== "number") throw corrupt(what, undefined, "data_copies is no number");
    const geometry = raid10Geometry(copies | (1 << 8), sources.length, chunkBytes, left[0]?.sizeBytes ?? 0);
    if (geometry.sizeBytes < bytes) throw corrupt(what, undefined, `${bytes} bytes over images that hold ${geometry.sizeBytes}`);
    if (!isRaid10Complete(geometry, (slot) => sources[slot] !== undefined)) throw tooFew();
    assertComplete(absent);
    remarkOnAbsent(group, segment, absent, what);
    return raid10(sources, geometry, bytes);
  }
  throw unsupported(`${what}: segment type "${type.slice(0, 64)}" can't be read`);
}

async function openMember(group: OpenGroup, metadata: unknown, image: unknown, depth: number, what: string): Promise<Member> {
  if (typeof image !== "string") throw corrupt(what, undefined, "its list of images holds something else");
  // LVM leaves out the name of a part that is gone.
  if (image === "") throw new MissingMember(`${what}: an image was lost in the guest`);
  const source = await group.open(image, depth + 1);
  if (typeof metadata !== "string" || metadata === "") return { source, superblock: undefined };
  const notes = await group.open(metadata, depth + 1);
  const superblock = parseRaidSuperblock(await notes.read(0, RAID_SUPERBLOCK_BYTES));
  if (superblock?.isReshaping === true) throw unsupported(`${what}: it was being reshaped`);
  return { source, superblock };
}

/** What the kernel noted last; undefined where there are no notes. */
function newestSuperblock(members: readonly (Member | undefined)[], what: string): RaidSuperblock | undefined {
  const known = members.flatMap((member) => member?.superblock ?? []);
  const [first] = known;
  if (first === undefined) return undefined;
  const newest = known.reduce((best, one) => (one.events > best.events ? one : best), first);
  if (newest.incompatible !== 0) throw unsupported(`${what}: dm-raid feature incompat 0x${newest.incompatible.toString(16)}`);
  return newest;
}

/** Images whose contents are out of date or were never filled count as missing. */
function withoutStale(members: readonly (Member | undefined)[], newest: RaidSuperblock | undefined): (BlockSource | undefined)[] {
  if (newest === undefined) return members.map((member) => member?.source);
  return members.map((member, slot) => {
    if (member === undefined || newest.failed(slot)) return undefined;
    if (member.superblock === undefined || !member.superblock.isRecovered) return undefined;
    return member.source;
  });
}

/** One copy alone can have gone on without the others: then those hold what was written last, and this one doesn't know. */
function remarkOnAbsent(group: OpenGroup, segment: Segment, absent: readonly number[], what: string): void {
  if (absent.length === 0) return;
  group.remark(segment, unsupported(`${what}: image ${absent.join(", ")}, which it counts as working, is on none of the disks: what was written since they parted is not shown`));
}
