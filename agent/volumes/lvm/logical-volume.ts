import type { BlockSource } from "../../blocks/block-source.ts";
import { concatenated, type Part } from "../../blocks/concatenated.ts";
import { corrupt, type DiskError, unsupported } from "../../blocks/disk-error.ts";
import { slice } from "../../blocks/slice.ts";
import { MissingMember } from "../missing-member.ts";
import { striped } from "../raid/striped.ts";
import { openMirrorSegment } from "./mirror-segment.ts";
import { openRaidSegment } from "./raid-segment.ts";
import { openSnapshot } from "./snapshot.ts";
import { openThinPool, type ThinPool } from "./thin-pool.ts";
import { formatUuid, list, number, text, type LogicalVolume, type Segment, type VolumeGroup } from "./volume-group.ts";

export interface GroupOptions {
  /** Physical volumes that are there, by uuid. */
  readonly devices: ReadonlyMap<string, BlockSource>;
  /** Reads arrays with a member missing through their parity or copies; else a missing member is an error. */
  readonly degraded: boolean;
}

/** Volumes stand on others: thin on a pool on RAID on images; nothing real is deeper. */
const MAX_DEPTH = 12;
/** Stripes of a segment, or copies of a mirror. */
const MAX_AREAS = 1024;

/** Opens the volumes of a group, each once. */
export class OpenGroup {
  readonly group: VolumeGroup;
  readonly degraded: boolean;
  readonly #devices: ReadonlyMap<string, BlockSource>;
  readonly #open = new Map<string, Promise<BlockSource>>();
  readonly #pools = new Map<string, Promise<ThinPool>>();
  /** The name of a snapshot's store → the segment that makes it a snapshot; and of an origin that a snapshot is merged into. */
  readonly #snapshots = new Map<string, Segment>();
  readonly #merging = new Map<string, Segment>();
  /** The name of a thin volume that a snapshot is merged into → the segment of that snapshot. */
  readonly #thinMerging = new Map<string, Segment>();
  readonly #remarks = new Map<Segment, DiskError>();

  constructor(group: VolumeGroup, options: GroupOptions) {
    this.group = group;
    this.degraded = options.degraded;
    this.#devices = options.devices;
    for (const volume of group.logicalVolumes.values()) {
      for (const segment of volume.segments) {
        const { values } = segment.section;
        const mergedInto = values.get("merge");
        if (segment.type === "thin" && typeof mergedInto === "string") this.#thinMerging.set(mergedInto, segment);
        if (segment.type !== "snapshot") continue;
        const store = values.get("cow_store");
        const origin = values.get("origin");
        if (typeof store === "string") this.#snapshots.set(store, segment);
        else if (typeof origin === "string") this.#merging.set(origin, segment);
      }
    }
  }

  /** False for the parts that volumes are made of. A snapshot goes by the name of its store, not by that of its own entry. */
  isShown({ name, isVisible, segments }: LogicalVolume): boolean {
    const type = segments[0]?.type ?? "";
    if (this.#snapshots.has(name)) return true;
    return isVisible && type !== "snapshot" && !type.endsWith("-pool");
  }

  /** What the guest sees under the volume's name: for a snapshot's store the snapshot. */
  async openVisible(name: string): Promise<BlockSource> {
    const snapshot = this.#snapshots.get(name) ?? this.#merging.get(name);
    if (snapshot === undefined) return this.open(name, 0);
    const { values } = snapshot.section;
    const origin = text(snapshot.section, "origin", this.describe(name));
    const store = values.get("cow_store") ?? values.get("merging_store");
    if (typeof store !== "string") throw corrupt(this.describe(name), undefined, "a snapshot without a store");
    const chunkBytes = number(snapshot.section, "chunk_size", this.describe(name)) * 512;
    return openSnapshot(await this.open(origin, 1), await this.open(store, 1), chunkBytes, this.describe(name));
  }

  /** A volume by itself, whatever stands on it. @param depth how many volumes stand on it already */
  open(name: string, depth: number): Promise<BlockSource> {
    let opened = this.#open.get(name);
    if (opened === undefined) {
      opened = this.#openVolume(name, depth);
      this.#open.set(name, opened);
    }
    return opened;
  }

  describe(name: string): string {
    return `LVM2 logical volume "${this.group.name}/${name}"`;
  }

  /** The volumes that `list` names as areas: pairs of a physical or logical volume and its first extent. */
  async openAreas(areas: readonly (number | string)[], bytes: number, depth: number, what: string): Promise<BlockSource[]> {
    if (areas.length === 0 || areas.length % 2 !== 0 || areas.length > 2 * MAX_AREAS) throw corrupt(what, undefined, `${areas.length} items in its list of areas`);
    const opened: BlockSource[] = [];
    for (let index = 0; index < areas.length; index += 2) opened.push(await this.#openArea(areas[index]!, areas[index + 1]!, bytes, depth, what));
    return opened;
  }

  /** Says of a segment that it can be read, but part of what it shows may be out of date. */
  remark(segment: Segment, error: DiskError): void {
    this.#remarks.set(segment, error);
  }

  /** What was remarked on a volume, or on one that it stands on; only once it is open. */
  remarkOn(name: string): DiskError | undefined {
    for (const segment of this.#below(name).segments) {
      const remark = this.#remarks.get(segment);
      if (remark !== undefined) return remark;
    }
    return undefined;
  }

  /** Names of the physical volumes that a logical one needs, directly or not. */
  physicalVolumesOf(name: string): Set<string> {
    return new Set([...this.#below(name).names].filter((one) => this.group.physicalVolumes.has(one)));
  }

  /** What a volume stands on, directly or not. */
  #below(name: string): { names: ReadonlySet<string>; segments: readonly Segment[] } {
    const names = new Set<string>();
    const below: Segment[] = [];
    const queue = [name];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (names.has(next)) continue;
      names.add(next);
      const merging = [this.#snapshots.get(next) ?? this.#merging.get(next), this.#thinMerging.get(next)];
      const segments = [...(this.group.logicalVolumes.get(next)?.segments ?? []), ...merging.flatMap((segment) => segment ?? [])];
      below.push(...segments);
      for (const { section } of segments) {
        for (const [key, value] of section.values) {
          if (key === "type") continue;
          for (const item of Array.isArray(value) ? value : [value]) if (typeof item === "string") queue.push(item);
        }
      }
    }
    return { names, segments: below };
  }

  async #openVolume(name: string, depth: number): Promise<BlockSource> {
    const volume = this.group.logicalVolumes.get(name);
    if (volume === undefined) throw corrupt(`LVM2 volume group "${this.group.name}"`, undefined, `no logical volume "${name}"`);
    if (volume.error !== undefined) throw volume.error;
    if (depth > MAX_DEPTH) throw corrupt(this.describe(name), undefined, `it stands on more than ${MAX_DEPTH} others`);
    const parts: Part[] = [];
    for (const segment of volume.segments) {
      const lengthBytes = segment.extentCount * this.group.extentBytes;
      if (!Number.isSafeInteger(lengthBytes)) throw corrupt(this.describe(name), undefined, `a segment of ${segment.extentCount} extents`);
      const from = await this.#openSegment(volume, segment, lengthBytes, depth);
      if (from === "zeros") parts.push({ from, offset: 0, lengthBytes });
      else {
        if (from.sizeBytes < lengthBytes) throw corrupt(this.describe(name), undefined, `a segment of ${lengthBytes} bytes over ${from.sizeBytes}`);
        parts.push({ from, offset: 0, lengthBytes });
      }
    }
    const [only] = parts;
    if (parts.length === 1 && only !== undefined && typeof only.from === "object" && "read" in only.from) return slice(only.from, 0, only.lengthBytes);
    return concatenated(parts);
  }

  async #openSegment(volume: LogicalVolume, segment: Segment, bytes: number, depth: number): Promise<BlockSource | "zeros"> {
    const { type, section, flags } = segment;
    const what = this.describe(volume.name);
    const unknown = flags.find((flag) => flag !== "CROP_METADATA");
    if (unknown?.startsWith("RESHAPE") === true) throw unsupported(`${what}: it was being reshaped (segment type ${[type, ...flags].join("+")})`);
    if (unknown !== undefined) throw unsupported(`${what}: segment type ${type}+${unknown}`);
    switch (type) {
      case "zero":
        return "zeros";
      case "striped":
      case "linear": {
        const areas = list(section, "stripes", what);
        const count = areas.length / 2;
        if (count === 1) return (await this.openAreas(areas, bytes, depth, what))[0]!;
        const chunkBytes = number(section, "stripe_size", what) * 512;
        if (chunkBytes === 0 || bytes % count !== 0) throw corrupt(what, undefined, `${count} stripes of ${chunkBytes} bytes for ${bytes}`);
        return striped(await this.openAreas(areas, bytes / count, depth, what), chunkBytes, bytes);
      }
      case "mirror":
        return openMirrorSegment(this, segment, bytes, depth, what);
      case "thin": {
        const pool = await this.#openPool(text(section, "thin_pool", what), depth + 1);
        // A snapshot that is merged into this volume takes its place when it is next activated.
        const shown = (this.#thinMerging.get(volume.name) ?? segment).section;
        const external = shown.values.get("external_origin");
        const origin = typeof external === "string" ? await this.open(external, depth + 1) : undefined;
        return pool.open(number(shown, "device_id", what), bytes, origin);
      }
      case "error":
        throw unsupported(`${what}: its segment type is "error": LVM was told to go on without a lost part of it`);
      default:
        if (/^raid\d/.test(type)) return openRaidSegment(this, segment, bytes, depth, what);
        throw unsupported(`${what}: segment type "${type.slice(0, 64)}" can't be read`);
    }
  }

  #openPool(name: string, depth: number): Promise<ThinPool> {
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = this.#openNewPool(name, depth);
      this.#pools.set(name, pool);
    }
    return pool;
  }

  async #openNewPool(name: string, depth: number): Promise<ThinPool> {
    const what = this.describe(name);
    const segment = this.group.logicalVolumes.get(name)?.segments[0];
    if (segment === undefined || segment.type !== "thin-pool") throw corrupt(what, undefined, `it is no thin pool, but "${segment?.type ?? "nothing"}"`);
    const unknown = segment.flags.find((flag) => flag !== "CROP_METADATA");
    if (unknown !== undefined) throw unsupported(`${what}: segment type thin-pool+${unknown}`);
    const metadata = await this.open(text(segment.section, "metadata", what), depth + 1);
    const data = await this.open(text(segment.section, "pool", what), depth + 1);
    return openThinPool(metadata, data, what);
  }

  async #openArea(volume: number | string, extent: number | string, bytes: number, depth: number, what: string): Promise<BlockSource> {
    if (typeof volume !== "string" || typeof extent !== "number" || !Number.isSafeInteger(extent) || extent < 0) {
      throw corrupt(what, undefined, `an area ${JSON.stringify([volume, extent])}`);
    }
    const offset = extent * this.group.extentBytes;
    const physical = this.group.physicalVolumes.get(volume);
    if (physical === undefined) return slice(await this.open(volume, depth + 1), offset, bytes);
    const device = physical.isMissing ? undefined : this.#devices.get(physical.uuid);
    if (device === undefined) {
      const reason = physical.isMissing ? "which the group itself counts as missing" : "which is on none of the disks looked at";
      throw new MissingMember(`${what} needs the physical volume ${formatUuid(physical.uuid)} (${physical.device} in the guest), ${reason}`);
    }
    return slice(device, physical.startBytes + offset, bytes);
  }
}
