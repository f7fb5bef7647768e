import type { BlockSource } from "../../blocks/block-source.ts";
import { type DiskError, toDiskError } from "../../blocks/disk-error.ts";
import type { PhysicalVolumeLabel } from "./label.ts";
import { readMetadataText } from "./metadata-area.ts";
import { parseMetadataText } from "./metadata-text.ts";
import { toVolumeGroup, type VolumeGroup } from "./volume-group.ts";

export interface Member<Owner> {
  readonly uuid: string;
  readonly source: BlockSource;
  readonly owner: Owner;
}

export interface FoundGroup<Owner> {
  readonly group: VolumeGroup;
  /** The physical volumes that were found, by uuid. */
  readonly members: ReadonlyMap<string, Member<Owner>>;
}

/** The physical volumes of some disks, and the groups that they make. */
export class PhysicalVolumes<Owner> {
  readonly #members = new Map<string, Member<Owner>>();
  /** UUIDs of those that say that no group uses them. */
  readonly #unused = new Set<string>();
  /** The newest metadata of each group, by uuid. */
  readonly #groups = new Map<string, VolumeGroup>();
  readonly #problems = new Map<string, DiskError>();
  readonly #duplicates: Owner[] = [];

  /** Reads the metadata of a physical volume. A second one with the same uuid is a copy, and not used. */
  async add(label: PhysicalVolumeLabel, source: BlockSource, owner: Owner): Promise<void> {
    if (this.#members.has(label.uuid)) {
      this.#duplicates.push(owner);
      return;
    }
    this.#members.set(label.uuid, { uuid: label.uuid, source, owner });
    if (label.isUsed === false) this.#unused.add(label.uuid);
    for (const area of label.metadataAreas) {
      try {
        const text = await readMetadataText(source, area);
        if (text === undefined) continue;
        const group = toVolumeGroup(parseMetadataText(text));
        const known = this.#groups.get(group.uuid);
        if (known === undefined || known.sequence < group.sequence) this.#groups.set(group.uuid, group);
        this.#problems.delete(label.uuid);
        // The second area holds the same text.
        return;
      } catch (error) {
        this.#problems.set(label.uuid, toDiskError(error));
      }
    }
  }

  groups(): FoundGroup<Owner>[] {
    return [...this.#groups.values()].map((group) => {
      const members = new Map<string, Member<Owner>>();
      for (const { uuid } of group.physicalVolumes.values()) {
        const member = this.#members.get(uuid);
        if (member !== undefined) members.set(uuid, member);
      }
      return { group, members };
    });
  }

  /**
   * Physical volumes in no group, and what was wrong with their metadata if that is why. `mayHaveGroup` when another
   * disk may hold the metadata of their group.
   */
  withoutGroup(): { owner: Owner; problem: DiskError | undefined; mayHaveGroup: boolean }[] {
    const used = new Set(this.groups().flatMap(({ members }) => [...members.keys()]));
    const lonely = [...this.#members.values()].filter(({ uuid }) => !used.has(uuid));
    return [
      ...lonely.map(({ uuid, owner }) => ({ owner, problem: this.#problems.get(uuid), mayHaveGroup: !this.#unused.has(uuid) })),
      ...this.#duplicates.map((owner) => ({ owner, problem: undefined, mayHaveGroup: false })),
    ];
  }
}
