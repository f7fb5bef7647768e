import type { BlockSource } from "../../blocks/block-source.ts";
import { concatenated } from "../../blocks/concatenated.ts";
import { corrupt, unsupported, type DiskError } from "../../blocks/disk-error.ts";
import { slice } from "../../blocks/slice.ts";
import { MissingMember } from "../missing-member.ts";
import { type BadRanges, mirroredWithoutBad, withoutBad } from "../raid/bad-ranges.ts";
import { parityArray } from "../raid/parity-array.ts";
import { raid4Layout, raid5Layouts, raid6Layouts } from "../raid/parity-layout.ts";
import { isRaid10Complete, raid10, raid10Geometry } from "../raid/raid10.ts";
import { readBadBlocks } from "./bad-blocks.ts";
import { readJournal, replayed } from "./journal.ts";
import { FEATURE_JOURNAL, type MdSuperblock, ROLE_FAULTY, ROLE_JOURNAL, ROLE_SPARE } from "./superblock.ts";
import { stripedZones } from "./zones.ts";

export interface MdMember {
  readonly source: BlockSource;
  readonly superblock: MdSuperblock;
}

export interface OpenArray {
  readonly source: BlockSource;
  /** Set when it can be read, but part of what it shows may be wrong. */
  readonly remark: DiskError | undefined;
}

/** md itself allows 27 members with superblock 0.90 and 1920 roles with the later ones. */
const MAX_MEMBERS = 1920;
const MAX_CHUNK_BYTES = 1024 * 1024 * 1024;

/** True when something that the newest superblock counts as working is not among the members. */
export function isArrayIncomplete(members: readonly MdMember[]): boolean {
  const { newest, journal } = currentMembers(members);
  return missingSlots(members).length > 0 || (hasJournal(newest) && journal === undefined);
}

function hasJournal({ features }: MdSuperblock): boolean {
  return (features & FEATURE_JOURNAL) !== 0;
}

/** Slots that the newest superblock counts as working but that are not among the members. */
function missingSlots(members: readonly MdMember[]): number[] {
  const { newest, slots } = currentMembers(members);
  const expected = newest.roles.filter((role) => role < newest.memberCount);
  return [...new Set(expected)].filter((slot) => !slots.has(slot)).sort((a, b) => a - b);
}

/** The name for people: what md calls it, else the start of its uuid. */
export function arrayName({ name, uuid, version }: MdSuperblock): string {
  if (version === "0.90") return `md${name}`;
  const own = name.slice(name.indexOf(":") + 1).replace(/[^A-Za-z0-9_.+-]/g, "_");
  return own === "" ? `md-${uuid.slice(0, 8)}` : `md-${own}`;
}

/** Members of one array → their slots; out-of-date, faulty, spare and unfilled ones are left out. */
function currentMembers(members: readonly MdMember[]): { newest: MdSuperblock; slots: Map<number, MdMember>; journal: MdMember | undefined } {
  const newest = members.reduce((best, one) => (one.superblock.events > best.superblock.events ? one : best)).superblock;
  const slots = new Map<number, MdMember>();
  let journal: MdMember | undefined;
  for (const member of members) {
    const { superblock } = member;
    // The last event may be on some members only when the array was stopped hard.
    if (superblock.events + 1 < newest.events) continue;
    const role = newest.roles[superblock.device] ?? ROLE_SPARE;
    if (role === ROLE_JOURNAL) journal ??= member;
    if (!superblock.isRecovered) continue;
    const known = slots.get(role);
    if (role < newest.memberCount && (known === undefined || known.superblock.events < superblock.events)) slots.set(role, member);
  }
  return { newest, slots, journal };
}

/**
 * Opens an array from the members that are there.
 * @param members one or more, of one array
 * @throws MissingMember when too few are there; DiskError when the array can't be read
 */
export async function openArray(members: readonly MdMember[]): Promise<OpenArray> {
  const { newest, slots, journal } = currentMembers(members);
  const what = `md array ${arrayName(newest)} (${formatUuid(newest.uuid)})`;
  if (newest.isReshaping) throw unsupported(`${what}: it was being reshaped`);
  if (newest.memberCount === 0 || newest.memberCount > MAX_MEMBERS) throw corrupt(what, undefined, `${newest.memberCount} members`);
  const present: (BlockSource | undefined)[] = [];
  const bad: (BadRanges | undefined)[] = [];
  for (let slot = 0; slot < newest.memberCount; slot += 1) {
    const member = slots.get(slot);
    present.push(member === undefined ? undefined : dataOf(member));
    bad.push(member === undefined ? undefined : await readBadBlocks(member.source, member.superblock));
  }
  const absent = present.flatMap((source, slot) => (source === undefined ? [slot] : []));
  const tooFew = (): MissingMember => new MissingMember(`${what}: level ${levelName(newest)} needs more than ${present.length - absent.length} of its ${present.length} members; missing: ${absent.map((slot) => describeMissing(newest, members, slot)).join(", ")}`);
  const assembled = assemble(newest, present, bad, tooFew, what);
  const source = journal === undefined ? assembled : await replayJournal(assembled, journal, absent, what);
  return { source, remark: remarkOn(newest, absent, members, what) };
}

async function replayJournal(array: BlockSource, member: MdMember, absent: readonly number[], what: string): Promise<BlockSource> {
  const journal = dataOf(member);
  const pages = await readJournal(journal, member.superblock, what);
  // Its parity is written with it, and what a missing member holds is computed from both.
  if (pages.size > 0 && absent.length > 0) throw unsupported(`${what}: member ${absent.join(", ")} is missing, and its journal holds changes that md has to replay first`);
  return replayed(array, journal, pages, what);
}

function remarkOn(newest: MdSuperblock, absent: readonly number[], members: readonly MdMember[], what: string): DiskError | undefined {
  const { level, isInSync } = newest;
  const unknown = missingSlots(members);
  if (hasJournal(newest) && currentMembers(members).journal === undefined) {
    return unsupported(`${what}: its journal is on none of the disks: what was written last may be wrong`);
  }
  if (absent.length > 0 && !isInSync && level >= 4 && level <= 6) {
    return unsupported(`${what}: a member is missing and the array was not closed cleanly: what was being written at the end may be wrong`);
  }
  if (unknown.length === 0) return undefined;
  // A member that is here but out of date never is the newest one, so only those that are nowhere are left.
  return unsupported(`${what}: member ${unknown.join(", ")}, which it counts as working, is on none of the disks: what was written since they parted is not shown`);
}

function assemble(newest: MdSuperblock, present: readonly (BlockSource | undefined)[], bad: readonly (BadRanges | undefined)[], tooFew: () => Error, what: string): BlockSource {
  const { level, layout, chunkBytes, usedBytes } = newest;
  const there = present.filter((source) => source !== undefined);
  const wrong = (found: string) => corrupt(what, undefined, found);
  const needsChunks = level !== 1 && level !== -1;
  if (needsChunks && (chunkBytes < 512 || chunkBytes % 512 !== 0 || chunkBytes > MAX_CHUNK_BYTES)) throw wrong(`chunks of ${chunkBytes} bytes`);
  const wholeChunks = (bytes: number): number => (chunkBytes === 0 ? bytes : Math.floor(bytes / chunkBytes) * chunkBytes);
  if (level === -1 || level === 0) {
    if (there.length < present.length) throw tooFew();
    const good = there.map((source, slot) => withoutBad(source, bad[slot]));
    if (level === 0) return stripedZones(good, newest, what);
    return concatenated(good.map((from) => ({ from, offset: 0, lengthBytes: wholeChunks(from.sizeBytes) })));
  }
  // Never more than the smallest member holds, whatever the superblock says.
  const smallest = there.reduce((least, source) => Math.min(least, source.sizeBytes), Infinity);
  if (there.length > 0 && (usedBytes === 0 || usedBytes > smallest)) throw wrong(`${usedBytes} bytes used of each member, but one has ${smallest}`);
  const memberBytes = needsChunks ? wholeChunks(usedBytes) : usedBytes;
  switch (level) {
    case 1:
      if (there.length === 0) throw tooFew();
      return mirroredWithoutBad(there, bad.filter((_, slot) => present[slot] !== undefined), memberBytes);
    case 4:
    case 5:
    case 6: {
      const parity = level === 4 ? raid4Layout : (level === 5 ? raid5Layouts : raid6Layouts).get(layout);
      if (parity === undefined) throw unsupported(`${what}: RAID ${level} layout ${layout}`);
      if (present.length <= parity.parityCount) throw wrong(`${present.length} members in RAID ${level}`);
      if (present.length - there.length > parity.parityCount) throw tooFew();
      const sizeBytes = memberBytes * (present.length - parity.parityCount);
      // With two members, the parity is a copy.
      if (present.length === parity.parityCount + 1 && level !== 6) return mirroredWithoutBad(there, bad.filter((_, slot) => present[slot] !== undefined), sizeBytes);
      return parityArray({ members: present, bad, layout: parity, chunkBytes, sizeBytes });
    }
    case 10: {
      const geometry = raid10Geometry(layout, present.length, chunkBytes, memberBytes);
      if (!isRaid10Complete(geometry, (slot) => present[slot] !== undefined)) throw tooFew();
      return raid10(present, geometry, geometry.sizeBytes, bad);
    }
    default:
      throw unsupported(`${what}: level ${level}`);
  }
}

function dataOf({ source, superblock }: MdMember): BlockSource {
  return slice(source, superblock.dataOffset, Math.min(superblock.dataBytes, source.sizeBytes - superblock.dataOffset));
}

function describeMissing(newest: MdSuperblock, members: readonly MdMember[], slot: number): string {
  const stale = members.find((member) => member.superblock.roles[member.superblock.device] === slot);
  if (stale === undefined) return `member ${slot}`;
  const role = newest.roles[stale.superblock.device] ?? ROLE_SPARE;
  if (role === ROLE_FAULTY || role === ROLE_SPARE || role === ROLE_JOURNAL) return `member ${slot} (it left the array in the guest)`;
  return `member ${slot} (it is there, but out of date: ${stale.superblock.events} events of ${newest.events})`;
}

function levelName({ level }: MdSuperblock): string {
  return level === -1 ? "linear" : `RAID ${level}`;
}

/** As mdadm prints it. */
export function formatUuid(uuid: string): string {
  return uuid.replace(/^(.{8})(.{8})(.{8})(.{8})$/, "$1:$2:$3:$4");
}
