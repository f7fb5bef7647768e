// A volume group as its metadata text tells it. Source: lvm2's lib/format_text/import_vsn1.c, lvmsystemid(7), and the
// "lvm segtypes" of its import functions.
import { corrupt, type DiskError, toDiskError, unsupported } from "../../blocks/disk-error.ts";
import type { ConfigValue, Section } from "./metadata-text.ts";

export interface VolumeGroup {
  readonly name: string;
  /** 32 characters, without dashes. */
  readonly uuid: string;
  /** Rises by one with every change. */
  readonly sequence: number;
  readonly extentBytes: number;
  /** By the names that segments use: "pv0". */
  readonly physicalVolumes: ReadonlyMap<string, PhysicalVolume>;
  readonly logicalVolumes: ReadonlyMap<string, LogicalVolume>;
}

export interface PhysicalVolume {
  readonly name: string;
  readonly uuid: string;
  /** The name it had in the guest, "/dev/sda2": a hint for people. */
  readonly device: string;
  /** The group goes on without it: what it holds is out of date. */
  readonly isMissing: boolean;
  /** Of its first extent. */
  readonly startBytes: number;
  readonly extentCount: number;
}

export interface LogicalVolume {
  readonly name: string;
  readonly isVisible: boolean;
  readonly segments: readonly Segment[];
  readonly extentCount: number;
  /** Set when its part of the metadata contradicts itself: it then has no segments. */
  readonly error: DiskError | undefined;
}

/** A run of a logical volume's extents. */
export interface Segment {
  readonly startExtent: number;
  readonly extentCount: number;
  /** "striped", "thin", "raid5_ls" … without the flags that may follow it. */
  readonly type: string;
  /** What follows the type: "RESHAPE_DELTA_DISKS_PLUS". */
  readonly flags: readonly string[];
  readonly section: Section;
}

const SECTOR = 512;
/** LVM itself gets slow beyond some thousands. */
const MAX_VOLUMES = 65_536;
const namePattern = /^[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}$/;

/** @param root the parsed text. Throws "corrupt" or "unsupported". */
export function toVolumeGroup(root: Section): VolumeGroup {
  const groups = [...root.sections];
  const [entry] = groups;
  if (entry === undefined || groups.length !== 1) throw corrupt("LVM2 metadata text", undefined, `${groups.length} sections, expected one volume group`);
  const [name, section] = entry;
  if (!namePattern.test(name)) throw corrupt("LVM2 metadata text", undefined, "a volume group with an impossible name");
  const format = section.values.get("format");
  if (format !== undefined && format !== "lvm2") throw unsupported(`LVM metadata format ${JSON.stringify(format)}`);
  const what = `LVM2 volume group "${name}"`;
  const extentSectors = number(section, "extent_size", what);
  if (extentSectors === 0) throw corrupt(what, undefined, "extent_size 0");
  const physicalVolumes = new Map<string, PhysicalVolume>();
  for (const [key, pv] of section.sections.get("physical_volumes")?.sections ?? []) physicalVolumes.set(key, toPhysicalVolume(key, pv, what));
  const logicalVolumes = new Map<string, LogicalVolume>();
  for (const [key, lv] of section.sections.get("logical_volumes")?.sections ?? []) logicalVolumes.set(key, toLogicalVolume(key, lv, what));
  if (physicalVolumes.size > MAX_VOLUMES || logicalVolumes.size > MAX_VOLUMES) throw unsupported(`${what}: more than ${MAX_VOLUMES} volumes`);
  return {
    name, uuid: uuid(section, what), sequence: number(section, "seqno", what), extentBytes: extentSectors * SECTOR, physicalVolumes, logicalVolumes,
  };
}

function toPhysicalVolume(name: string, section: Section, group: string): PhysicalVolume {
  const what = `${group}, physical volume "${name}"`;
  const device = section.values.get("device");
  return {
    name,
    uuid: uuid(section, what),
    device: typeof device === "string" && device !== "[unknown]" ? device.slice(0, 256) : "unknown device",
    isMissing: [...strings(section, "status"), ...strings(section, "flags")].includes("MISSING"),
    startBytes: number(section, "pe_start", what) * SECTOR,
    extentCount: number(section, "pe_count", what),
  };
}

function toLogicalVolume(name: string, section: Section, group: string): LogicalVolume {
  if (!namePattern.test(name)) throw corrupt(group, undefined, "a logical volume with an impossible name");
  const isVisible = strings(section, "status").includes("VISIBLE");
  try {
    const segments = toSegments(section, `${group}, logical volume "${name}"`);
    return { name, isVisible, segments, extentCount: segments.reduce((sum, segment) => sum + segment.extentCount, 0), error: undefined };
  } catch (error) {
    // The other volumes of the group don't suffer.
    return { name, isVisible, segments: [], extentCount: 0, error: toDiskError(error) };
  }
}

function toSegments(section: Section, what: string): Segment[] {
  const count = number(section, "segment_count", what);
  const segments: Segment[] = [];
  let next = 0;
  for (const [key, segment] of section.sections) {
    if (!key.startsWith("segment")) continue;
    const startExtent = number(segment, "start_extent", what);
    const extentCount = number(segment, "extent_count", what);
    const [type = "", ...flags] = String(segment.values.get("type") ?? "").split("+");
    segments.push({ startExtent, extentCount, type, flags, section: segment });
  }
  segments.sort((a, b) => a.startExtent - b.startExtent);
  for (const segment of segments) {
    if (segment.startExtent !== next) throw corrupt(what, undefined, `a segment starts at extent ${segment.startExtent}, expected ${next}`);
    next += segment.extentCount;
  }
  if (segments.length !== count) throw corrupt(what, undefined, `${segments.length} segments, expected ${count}`);
  return segments;
}

/** A whole number that is not negative. */
export function number(section: Section, key: string, what: string): number {
  const value = section.values.get(key);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw corrupt(what, undefined, `${key} is ${JSON.stringify(value)}, expected a number`);
}

export function text(section: Section, key: string, what: string): string {
  const value = section.values.get(key);
  if (typeof value === "string") return value;
  throw corrupt(what, undefined, `${key} is ${JSON.stringify(value)}, expected a string`);
}

export function list(section: Section, key: string, what: string): readonly (number | string)[] {
  const value: ConfigValue | undefined = section.values.get(key);
  if (Array.isArray(value)) return value as readonly (number | string)[];
  throw corrupt(what, undefined, `${key} is ${JSON.stringify(value)}, expected a list`);
}

function strings(section: Section, key: string): string[] {
  const value = section.values.get(key);
  if (Array.isArray(value)) return value.filter((item) => typeof item === "string");
  return typeof value === "string" ? [value] : [];
}

function uuid(section: Section, what: string): string {
  const value = text(section, "id", what).replaceAll("-", "");
  if (!/^[A-Za-z0-9!#]{32}$/.test(value)) throw corrupt(what, undefined, "its id is no LVM2 uuid");
  return value;
}

/** As LVM prints it: 6-4-4-4-4-4-6. */
export function formatUuid(value: string): string {
  return value.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/, "$1-$2-$3-$4-$5-$6-$7");
}
