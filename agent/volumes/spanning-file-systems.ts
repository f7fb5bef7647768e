import type { BlockSource } from "../blocks/block-source.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import type { DetectedMember } from "../filesystems/registry.ts";

interface Member<Owner> {
  readonly about: DetectedMember;
  readonly source: BlockSource;
  readonly owner: Owner;
}

/** A device that is listed as a part of a filesystem. */
export interface Part<Owner> {
  readonly owner: Owner;
  /** For people: "device 2". */
  readonly what: string;
}

/** A filesystem over several devices, as far as these were found. */
export interface FoundFileSystem<Owner> {
  /** For people: "btrfs filesystem 5c1f3c1e-…". */
  readonly title: string;
  /** Its devices, by their number. */
  readonly devices: readonly Part<Owner>[];
  /** What has its magic, but is not read: older copies of its devices, what shall replace one. */
  readonly others: readonly Part<Owner>[];
  readonly isComplete: boolean;
  open(): Promise<FileSystem>;
}

/** The devices of filesystems that may lie on several, and which filesystems they make. */
export class SpanningFileSystems<Owner> {
  readonly #members = new Map<string, Member<Owner>[]>();

  add(about: DetectedMember, source: BlockSource, owner: Owner): void {
    const known = this.#members.get(about.key);
    if (known === undefined) this.#members.set(about.key, [{ about, source, owner }]);
    else known.push({ about, source, owner });
  }

  /** Those on one device alone are left out, also where several are clones of one another. */
  found(): FoundFileSystem<Owner>[] {
    return [...this.#members.values()].flatMap((members) => toFileSystem(members) ?? []);
  }
}

function toFileSystem<Owner>(members: readonly Member<Owner>[]): FoundFileSystem<Owner> | undefined {
  const newest = members.reduce((best, one) => (one.about.generation > best.about.generation ? one : best)).about;
  const devices = new Map<number, Member<Owner>>();
  const others: Part<Owner>[] = [];
  for (const member of members) {
    const { deviceId, generation } = member.about;
    const known = devices.get(deviceId);
    if (deviceId === 0) others.push({ owner: member.owner, what: "an unfinished replacement of a device" });
    else if (known === undefined) devices.set(deviceId, member);
    else {
      // Two with one number are a device and its copy or what replaced it: the one that took part in later commits counts.
      const loser = generation > known.about.generation ? known : member;
      if (loser === known) devices.set(deviceId, member);
      others.push({ owner: loser.owner, what: describeCopy(loser.about, newest) });
    }
  }
  if (members.every(({ about }) => about.deviceCount === 1 && about.deviceId !== 0)) return undefined;
  const sorted = [...devices.values()].sort((a, b) => a.about.deviceId - b.about.deviceId);
  return {
    title: newest.title,
    devices: sorted.map(({ owner, about }) => ({ owner, what: describeDevice(about, newest) })),
    others,
    isComplete: devices.size >= newest.deviceCount,
    // In the order found: what contradicts the first ones, those of the mounted disk, is not read.
    open: async () => await newest.open([...devices.values()].map(({ source }) => source)),
  };
}

function describeDevice({ deviceId, generation }: DetectedMember, newest: DetectedMember): string {
  const age = generation === newest.generation ? "" : `, of generation ${generation} where the newest is ${newest.generation},`;
  return `device ${deviceId}${age}`;
}

function describeCopy({ deviceId, generation }: DetectedMember, newest: DetectedMember): string {
  return `another device ${deviceId} (generation ${generation}, the newest is ${newest.generation}), which is not read,`;
}
