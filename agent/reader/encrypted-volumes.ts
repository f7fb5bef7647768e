import type { BlockSource } from "../blocks/block-source.ts";
import { cached } from "../blocks/cached.ts";
import { readLuksHeader, readLuksIdentity, unlockLuks } from "../volumes/luks/luks.ts";
import type { Volume } from "../volumes/volume.ts";
import { PluckError } from "../../shared/errors.ts";
import type { VolumeError } from "./disk-reader.ts";
import { toNodeError } from "./reader-error.ts";

/** Decrypted metadata kept in memory for each unlocked volume. */
const cacheBytes = 16 * 1024 * 1024;
/** Each costs a cache; more encrypted volumes on one disk are nothing that people make. */
const maxUnlocked = 32;

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

/** The encrypted volumes of one disk that were unlocked. Keys live only in the ciphers behind these sources. */
export class EncryptedVolumes {
  readonly #unlocked = new Map<string, BlockSource>();

  /** The decrypted source of a volume that was unlocked before. */
  find = async (volume: Volume): Promise<BlockSource | undefined> => {
    if (volume.source === undefined || this.#unlocked.size === 0) return undefined;
    return this.#unlocked.get(await keyOf(volume, volume.source));
  };

  /** @throws PluckError wrong_key; DiskError corrupt, unsupported, io_error */
  async unlock({ volume, source }: LockedVolume, secret: Uint8Array): Promise<void> {
    if (this.#unlocked.size >= maxUnlocked) throw new PluckError("unsupported", `More than ${maxUnlocked} unlocked volumes on one disk.`);
    const header = await readLuksHeader(source);
    const plain = await unlockLuks(source, header, secret);
    if (plain === undefined) throw new PluckError("wrong_key", `This passphrase or key opens none of the keyslots of ${volume.name}.`);
    this.#unlocked.set(await keyOf(volume, source), cached(plain, { capacityBytes: cacheBytes }));
  }
}

/** A volume inside an unlocked one may have its name: the header's UUID tells them apart. */
async function keyOf(volume: Volume, source: BlockSource): Promise<string> {
  return `${volume.name}\0${(await readLuksIdentity(source)).uuid ?? ""}`;
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
