import type { BlockSource } from "../blocks/block-source.ts";
import { DiskError, toDiskError, unsupported } from "../blocks/disk-error.ts";
import { recognise } from "../filesystems/recognise.ts";
import { detectMember } from "../filesystems/registry.ts";
import { readLabel } from "./lvm/label.ts";
import { PhysicalVolumes, type FoundGroup } from "./lvm/physical-volumes.ts";
import { OpenGroup } from "./lvm/logical-volume.ts";
import { readLuksIdentity } from "./luks/luks.ts";
import { arrayName, isArrayIncomplete, type MdMember, openArray } from "./mdraid/array.ts";
import { readMdSuperblock } from "./mdraid/superblock.ts";
import { isWholeDiskMember } from "./mdraid/whole-disk.ts";
import { MissingMember } from "./missing-member.ts";
import type { Elsewhere, Unlock } from "./scan.ts";
import { type FoundFileSystem, SpanningFileSystems } from "./spanning-file-systems.ts";
import { scanTable } from "./table-scan.ts";
import { VolumeNames } from "./volume-names.ts";
import type { SpanningFileSystem, Volume } from "./volume.ts";

/** One disk that is looked into; only what has a part on an own one is listed. */
export interface StackDisk {
  readonly name: string;
  readonly source: BlockSource;
  readonly isOwn: boolean;
}

/** Where a volume lies. */
interface Place {
  readonly isOwn: boolean;
  /** The disk that it lies on; the first of several. */
  readonly disk: string;
  /** How many layers it stands on. */
  readonly depth: number;
}

/** A volume that may hold others. */
interface Device extends Place {
  readonly volume: Volume & { readonly source: BlockSource };
  /** Set where it turned out to be part of something: what, for people. */
  note?: { readonly what: string; readonly results: string[]; readonly partOf?: string };
  /** Set where it is the first device of a filesystem over several. */
  spanning?: SpanningFileSystem;
}

/** LUKS on LVM on RAID on partitions, twice over. */
const MAX_DEPTH = 8;
/** Volumes, and members of arrays and groups, of all the disks of one backup. */
const MAX_DEVICES = 20_000;
/** So many of the volumes that a member holds are named beside it. */
const MAX_NAMED_RESULTS = 8;

/** Takes disks apart, layer by layer, and puts arrays and groups together, until nothing new turns up. */
export class Stack {
  /** True when a member of something on an own disk was not found. */
  isIncomplete = false;
  readonly #unlock: Unlock | undefined;
  /** True when no further disks can come: what is incomplete is then opened as far as it goes. */
  readonly #isFinal: boolean;
  readonly #unreadableDisks: readonly string[];
  readonly #names = new VolumeNames();
  readonly #listed: (Volume | Device)[] = [];
  readonly #arrays = new Map<string, { members: (MdMember & { device: Device })[]; isDone: boolean }>();
  readonly #physicalVolumes = new PhysicalVolumes<Device>();
  readonly #doneGroups = new Set<string>();
  readonly #fileSystems = new SpanningFileSystems<Device>();
  /** Encrypted volumes that no key was given for: how they are told of, and what is listed of those of other disks. */
  readonly #locked: { readonly text: string; readonly volume: Volume | undefined }[] = [];
  #fresh: Device[] = [];
  #deviceCount = 0;

  constructor(unlock: Unlock | undefined, isFinal: boolean, unreadableDisks: readonly string[] = []) {
    this.#unlock = unlock;
    this.#isFinal = isFinal;
    this.#unreadableDisks = unreadableDisks;
  }

  /** Throws only "io_error", and only for the first own disk's own table. */
  async scan(disks: readonly StackDisk[]): Promise<Volume[]> {
    for (const disk of disks) {
      try {
        await this.#addDisk(disk);
      } catch (error) {
        if (disk.isOwn) throw error;
      }
    }
    // Each turn puts at least one array or group together, or is the last.
    for (let turn = 0; turn < MAX_DEVICES; turn += 1) {
      const fresh = this.#fresh;
      this.#fresh = [];
      for (const device of fresh) await this.#look(device);
      if (this.#fresh.length > 0) continue;
      if (await this.#openArrays(false)) continue;
      if (await this.#openArrays(true)) continue;
      if (!(await this.#openGroups())) break;
    }
    this.#noteMembersWithoutGroup();
    for (const found of this.#fileSystems.found()) this.#joinFileSystem(found);
    // Whoever lacks parts can unlock what may hold them.
    if (this.isIncomplete && this.#isFinal) this.#listed.push(...this.#locked.flatMap(({ volume }) => volume ?? []));
    return this.#listed.map((item) => ("volume" in item ? describe(item) : item));
  }

  async #addDisk(disk: StackDisk): Promise<void> {
    if (await isWholeDiskMember(disk.source)) {
      this.#add({ name: "disk", kind: "disk", source: disk.source, sizeBytes: disk.source.sizeBytes }, { isOwn: disk.isOwn, disk: disk.name, depth: 0 });
      return;
    }
    for (const volume of await scanTable(disk.source)) this.#add(volume, { isOwn: disk.isOwn, disk: disk.name, depth: 0 });
  }

  /** Lists a volume of an own disk, and looks into it later. */
  #add(volume: Volume, place: Place): void {
    this.#deviceCount += 1;
    const { source } = volume;
    const { isOwn, depth } = place;
    if (source === undefined || depth >= MAX_DEPTH || this.#deviceCount > MAX_DEVICES) {
      if (isOwn) this.#listed.push(volume);
      return;
    }
    const device: Device = { volume: { ...volume, source }, ...place };
    if (isOwn) this.#listed.push(device);
    this.#fresh.push(device);
  }

  /** Notes a member of an array or a group; opens an encrypted volume. What can't be read stays as it is. */
  async #look(device: Device): Promise<void> {
    const { source } = device.volume;
    try {
      const superblock = await readMdSuperblock(source);
      if (superblock !== undefined) {
        const known = this.#arrays.get(superblock.uuid) ?? { members: [], isDone: false };
        known.members.push({ source, superblock, device });
        this.#arrays.set(superblock.uuid, known);
        return;
      }
      const label = await readLabel(source);
      if (label !== undefined) {
        await this.#physicalVolumes.add(label, source, device);
        return;
      }
      if (this.#unlock !== undefined && (await recognise(source))?.type === "crypto_LUKS") {
        const elsewhere = device.isOwn ? undefined : await toElsewhere(device, source);
        if (elsewhere === undefined && !device.isOwn) return;
        const opened = await this.#unlock(device.volume, elsewhere);
        if (opened !== undefined) return await this.#addUnlocked(device, opened);
        return this.#addLocked(device, elsewhere);
      }
      const member = await detectMember(source);
      if (member !== undefined) this.#fileSystems.add(member, source, device);
    } catch (error) {
      const known = toDiskError(error);
      if (device.isOwn) this.#replace(device, { ...device.volume, error: known });
    }
  }

  #addLocked({ volume, disk }: Device, elsewhere: Elsewhere | undefined): void {
    if (elsewhere === undefined) this.#locked.push({ text: volume.name, volume: undefined });
    else {
      const { kind, source, sizeBytes } = volume;
      this.#locked.push({ text: `${elsewhere.name} (${volume.name} on ${disk})`, volume: { name: elsewhere.name, kind, source, sizeBytes, elsewhere: disk } });
    }
  }

  /** What was encrypted takes the place of the encrypted volume, under its name; it may be a member of something again. */
  async #addUnlocked(device: Device, source: BlockSource): Promise<void> {
    const volume = { ...device.volume, source, sizeBytes: source.sizeBytes };
    const hasTable = (await recognise(source)) === undefined && (await scanTable(source)).every((one) => one.kind !== "disk");
    if (hasTable) {
      device.note = { what: "LUKS encrypted volume, unlocked", results: [] };
      return await this.#addContents(volume, device, [device], true);
    }
    if (device.depth + 1 >= MAX_DEPTH) return;
    const inner: Device = { volume, isOwn: device.isOwn, disk: device.disk, depth: device.depth + 1 };
    const index = this.#listed.indexOf(device);
    if (index >= 0) this.#listed[index] = inner;
    this.#fresh.push(inner);
  }

  #replace(device: Device, volume: Volume): void {
    const index = this.#listed.indexOf(device);
    if (index >= 0) this.#listed[index] = volume;
  }

  /** @param degraded opens also those that lack members. Returns true when there is something new to look into. */
  async #openArrays(degraded: boolean): Promise<boolean> {
    let found = false;
    for (const array of this.#arrays.values()) {
      if (array.isDone) continue;
      const isOwn = array.members.some(({ device }) => device.isOwn);
      if (isArrayIncomplete(array.members)) {
        if (!degraded) continue;
        if (isOwn) this.isIncomplete = true;
        // Without the other disks it can't be told which of the members are out of date.
        if (!this.#isFinal) continue;
      }
      array.isDone = true;
      found = true;
      await this.#openArray(array.members, isOwn);
    }
    return found;
  }

  async #openArray(members: readonly (MdMember & { device: Device })[], isOwn: boolean): Promise<void> {
    const devices = members.map(({ device }) => device);
    const newest = members.reduce((best, one) => (one.superblock.events > best.superblock.events ? one : best)).superblock;
    const name = isOwn ? this.#names.take(arrayName(newest), `${arrayName(newest)}-${newest.uuid.slice(0, 8)}`) : arrayName(newest);
    for (const device of devices) device.note = { what: `member of the md array ${name}`, results: [] };
    const depth = Math.max(...devices.map((device) => device.depth));
    try {
      const { source, remark } = await openArray(members);
      const volume: Volume = { name, kind: "array", source, sizeBytes: source.sizeBytes, ...(remark === undefined ? {} : { error: remark }) };
      await this.#addContents(volume, { isOwn, disk: devices[0]?.disk ?? "", depth }, devices, true);
    } catch (error) {
      if (isOwn) this.#listed.push({ name, kind: "array", source: undefined, sizeBytes: 0, error: this.#explain(error) });
      for (const device of devices) device.note?.results.push(name);
    }
  }

  /** A new volume over others: itself, or its partitions where it has a table. */
  async #addContents(volume: Volume, above: Place, members: readonly Device[], mayHaveTable = false): Promise<void> {
    const { source } = volume;
    const add = (one: Volume): void => {
      this.#add(one, { isOwn: above.isOwn, disk: above.disk, depth: above.depth + 1 });
      for (const member of members) member.note?.results.push(one.name);
    };
    if (source === undefined || (!mayHaveTable && (await recognise(source)) !== undefined)) return add(volume);
    let partitions: Volume[];
    try {
      partitions = await scanTable(source);
    } catch (error) {
      // Part of it can't be read; the rest may be what is wanted.
      return add({ ...volume, error: volume.error ?? toDiskError(error) });
    }
    if (partitions.some((one) => one.kind === "disk")) return add(volume);
    for (const one of partitions) {
      const name = `${volume.name}p${one.partition?.number ?? one.name}`;
      const error = one.error ?? volume.error;
      add({ ...one, name: above.isOwn ? this.#names.take(name) : name, ...(error === undefined ? {} : { error }) });
    }
  }

  async #openGroups(): Promise<boolean> {
    let found = false;
    for (const group of this.#physicalVolumes.groups()) {
      if (this.#doneGroups.has(group.group.uuid)) continue;
      this.#doneGroups.add(group.group.uuid);
      await this.#openGroup(group);
      found = true;
    }
    return found;
  }

  async #openGroup({ group, members }: FoundGroup<Device>): Promise<void> {
    const devices = new Map([...members].map(([uuid, member]) => [uuid, member.source]));
    const open = new OpenGroup(group, { devices, degraded: this.#isFinal });
    for (const { owner } of members.values()) owner.note = { what: `physical volume of the LVM2 volume group "${group.name}"`, results: [] };
    for (const volume of group.logicalVolumes.values()) {
      if (!open.isShown(volume)) continue;
      const used = volume.error === undefined ? [...open.physicalVolumesOf(volume.name)].flatMap((name) => members.get(group.physicalVolumes.get(name)?.uuid ?? "") ?? []) : [...members.values()];
      const needed = used.map((member) => member.owner);
      const isOwn = needed.some((device) => device.isOwn);
      if (isOwn) await this.#openLogicalVolume(open, volume.name, needed);
    }
  }

  async #openLogicalVolume(open: OpenGroup, lv: string, devices: readonly Device[]): Promise<void> {
    const { group } = open;
    const plain = `${group.name}-${lv}`;
    const escaped = `${group.name.replaceAll("-", "--")}-${lv.replaceAll("-", "--")}`;
    const name = this.#names.take(plain, escaped, `${escaped}-${group.uuid.slice(0, 6)}`);
    const depth = Math.max(...devices.map((device) => device.depth));
    try {
      const source = await open.openVisible(lv);
      const remark = open.remarkOn(lv);
      await this.#addContents({ name, kind: "logical-volume", source, sizeBytes: source.sizeBytes, ...(remark === undefined ? {} : { error: remark }) }, { isOwn: true, disk: devices[0]?.disk ?? "", depth }, devices);
    } catch (error) {
      if (error instanceof MissingMember) this.isIncomplete = true;
      const sizeBytes = (group.logicalVolumes.get(lv)?.extentCount ?? 0) * group.extentBytes;
      this.#listed.push({ name, kind: "logical-volume", source: undefined, sizeBytes: Number.isSafeInteger(sizeBytes) ? sizeBytes : 0, error: this.#explain(error) });
      for (const device of devices) device.note?.results.push(name);
    }
  }

  /** Lists a filesystem under its first device on an own disk; its other devices say where it is. */
  #joinFileSystem({ title, devices, others, isComplete, open }: FoundFileSystem<Device>): void {
    const parts = [...devices, ...others].filter(({ owner }) => owner.isOwn);
    if (parts.length === 0) return;
    if (!isComplete) this.isIncomplete = true;
    const first = devices.find(({ owner }) => owner.isOwn)?.owner;
    for (const { owner, what } of parts) {
      if (owner !== first) owner.note = { what: `${what} of the ${title}${first === undefined ? "" : ` at /${first.volume.name}`}`, results: [], ...(first === undefined ? {} : { partOf: first.volume.name }) };
    }
    if (first === undefined) return;
    const explained = async () => await open().catch((error: unknown) => {
      throw this.#explain(error);
    });
    first.spanning = { deviceCount: devices.length, open: explained };
  }

  /** A missing member may be on a disk that could not be opened: then trying again may help. Or it is locked still. */
  #explain(error: unknown): DiskError {
    const known = toDiskError(error);
    if (!(known instanceof MissingMember)) return known;
    const named = this.#locked.slice(0, MAX_NAMED_RESULTS).map(({ text }) => text).join(", ");
    const more = this.#locked.length > MAX_NAMED_RESULTS ? ` and ${this.#locked.length - MAX_NAMED_RESULTS} more` : "";
    const locked = named === "" ? "" : `; it may be inside an encrypted volume that is still locked, to be unlocked by its name: ${named}${more}`;
    if (this.#unreadableDisks.length > 0) return new DiskError("io_error", `${known.message}${locked}; not opened: ${this.#unreadableDisks.join(", ")}`);
    return locked === "" ? known : new MissingMember(`${known.message}${locked}`);
  }

  #noteMembersWithoutGroup(): void {
    for (const { owner, problem, mayHaveGroup } of this.#physicalVolumes.withoutGroup()) {
      if (owner.note !== undefined) continue;
      if (owner.isOwn && problem === undefined && mayHaveGroup) this.isIncomplete = true;
      if (problem !== undefined) this.#replace(owner, { ...owner.volume, error: problem });
      else owner.note = { what: "LVM2 physical volume without a volume group", results: [] };
    }
  }
}

/** A member is listed with what became of it; its own bytes are no filesystem. */
function describe({ volume, note, spanning }: Device): Volume {
  if (spanning !== undefined) return { ...volume, spanning };
  if (note === undefined) return volume;
  const { what, results, partOf } = note;
  const unique = [...new Set(results)];
  const named = unique.slice(0, MAX_NAMED_RESULTS).join(", ");
  const more = unique.length > MAX_NAMED_RESULTS ? ` and ${unique.length - MAX_NAMED_RESULTS} more` : "";
  const whole = partOf === undefined ? {} : { partOf };
  return { ...volume, ...whole, isMember: true, error: unsupported(unique.length === 0 ? what : `${what}: see ${named}${more}`) };
}

/** Undefined where the header is too damaged to be told by its UUID. */
async function toElsewhere(device: Device, source: BlockSource): Promise<Elsewhere | undefined> {
  const { uuid } = await readLuksIdentity(source);
  return uuid === undefined ? undefined : { disk: device.disk, name: `luks-${uuid}` };
}
