import type { BlockSource } from "../blocks/block-source.ts";
import { cached } from "../blocks/cached.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { readLuksHeader, readLuksIdentity, unlockLuks } from "../volumes/luks/luks.ts";
import type { Elsewhere } from "../volumes/scan.ts";
import type { Volume } from "../volumes/volume.ts";
import { PluckError } from "../../shared/errors.ts";
import type { VolumeError } from "./disk-reader.ts";
import { toNodeError } from "./reader-error.ts";

/** Decrypted metadata kept in memory for each unlocked volume. */
const cacheBytes = 16 * 1024 * 1024;
/** Each costs a cache; more encrypted volumes on one disk are nothing that people make. */
const maxUnlocked = 32;
/** Volumes of other disks that one key is tried on; each costs seconds. */
const maxTried = 16;

/** A volume that waits for its key. */
export interface LockedVolume {
  readonly volume: Volume;
  readonly source: BlockSource;
}

/** What can be told of an encrypted volume without its key. */
export interface LockedFacts {
  readonly uuid: string | null;
  readonly label: string | null;
  /** volume_locked, or why no key would help. */
  readonly error: VolumeError;
}

/** What a key was asked for. */
interface Target extends LockedVolume {
  /** The other disk that it lies on. */
  readonly disk?: string;
}

/**
 * The encrypted volumes that were unlocked: of this disk, and of the other disks of the backup where a volume has parts
 * on them. Keys live only in the ciphers behind these sources.
 */
export class EncryptedVolumes {
  readonly #unlocked = new Map<string, BlockSource>();
  /** Locked volumes of other disks, by the name that unlocks them; null once they are open. */
  readonly #elsewhere = new Map<string, Target | null>();
  /** What is tried on the volumes of other disks while their turn lasts. */
  #trying: { readonly secret: Uint8Array; left: number } | undefined;

  /** The decrypted source of a volume that was unlocked before, or that the key being tried opens. */
  find = async (volume: Volume, elsewhere?: Elsewhere): Promise<BlockSource | undefined> => {
    const { source } = volume;
    if (source === undefined || (elsewhere === undefined && this.#unlocked.size === 0)) return undefined;
    const known = this.#unlocked.get(await keyOf({ volume, source, ...(elsewhere === undefined ? {} : { disk: elsewhere.disk }) }));
    if (known !== undefined || elsewhere === undefined) return known;
    return await this.#tryElsewhere({ volume, source, disk: elsewhere.disk }, elsewhere.name);
  };

  /** A locked volume of another disk; null when it is open; undefined when there is none of that name. */
  findElsewhere(name: string): LockedVolume | null | undefined {
    return this.#elsewhere.get(name);
  }

  /** Runs `work` with a key that opened one volume tried on those of other disks as well. */
  async trying<T>(secret: Uint8Array, work: () => Promise<T>): Promise<T> {
    this.#trying = { secret, left: maxTried };
    try {
      return await work();
    } finally {
      this.#trying = undefined;
    }
  }

  /** @throws PluckError wrong_key; DiskError corrupt, unsupported, io_error */
  async unlock(target: Target, secret: Uint8Array): Promise<void> {
    const { volume, source } = target;
    if (this.#unlocked.size >= maxUnlocked) throw new PluckError("unsupported", `More than ${maxUnlocked} unlocked volumes on one disk.`);
    const header = await readLuksHeader(source);
    const plain = await unlockLuks(source, header, secret);
    if (plain === undefined) throw new PluckError("wrong_key", `This passphrase or key opens none of the keyslots of ${volume.name}.`);
    this.#unlocked.set(await keyOf(target), cached(plain, { capacityBytes: cacheBytes }));
    for (const [name, other] of this.#elsewhere) if (other === target) this.#elsewhere.set(name, null);
  }

  async #tryElsewhere(target: Target & { readonly disk: string }, name: string): Promise<BlockSource | undefined> {
    this.#elsewhere.set(name, target);
    if (this.#trying === undefined || this.#trying.left === 0) return undefined;
    this.#trying.left -= 1;
    try {
      await this.unlock(target, this.#trying.secret);
    } catch (error) {
      // It may have a key of its own, or be one that no key opens: whoever needs it says that it is locked.
      if (error instanceof PluckError || error instanceof DiskError) return undefined;
      throw error;
    }
    return this.#unlocked.get(await keyOf(target));
  }
}

/** A volume inside an unlocked one may have its name: the header's UUID tells them apart. */
async function keyOf({ volume, source, disk }: Target): Promise<string> {
  return `${disk ?? ""}\0${volume.name}\0${(await readLuksIdentity(source)).uuid ?? ""}`;
}

/** Throws nothing: what goes wrong is the volume's error. */
export async function describeLocked(source: BlockSource, name: string): Promise<LockedFacts> {
  try {
    const { uuid, label } = await readLuksIdentity(source);
    return { uuid: uuid ?? null, label: label ?? null, error: await lockedError(source, name) };
  } catch (error) {
    return { uuid: null, label: null, error: toNodeError(error, `volume ${name}`) };
  }
}

async function lockedError(source: BlockSource, name: string): Promise<VolumeError> {
  try {
    const { version, encryption } = await readLuksHeader(source);
    const detail = `${name} is encrypted (LUKS${version}, ${encryption}) and locked: unlock it with POST /api/v1/restore/{mount_id}/unlock.`;
    return { code: "volume_locked", detail };
  } catch (error) {
    return toNodeError(error, `volume ${name}`);
  }
}
