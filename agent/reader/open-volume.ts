import type { BlockSource } from "../blocks/block-source.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { type ByteString, textToByteString } from "../filesystems/byte-string.ts";
import type { FileSystem, FileSystemFacts } from "../filesystems/filesystem.ts";
import type { Volume } from "../volumes/volume.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { NodeError, VolumeError } from "./disk-reader.ts";
import { describeLocked, type LockedVolume } from "./encrypted-volumes.ts";
import { recogniseType } from "./open-file-system.ts";
import type { GuestTree } from "./guest-volumes.ts";
import { rawDownloadHint } from "./raw-volume.ts";
import { toNodeError } from "./reader-error.ts";

/** A volume that takes longer to open is listed as unreadable; a journal of 1 GiB is replayed in a few seconds. */
const volumeOpenTimeoutMs = 60_000;
/** More volumes than this are not opened, only told of. */
const maxVolumes = 512;

/** A volume of an open disk. */
export type OpenVolume = ReadableVolume | UnreadableVolume;

export interface ReadableVolume {
  readonly readable: true;
  readonly name: ByteString;
  readonly fileSystem: FileSystem;
  /** What is wrong with the volume although it can be read. */
  readonly error: NodeError | undefined;
  readonly summary: VolumeSummary;
  /** Its bytes; undefined for a guest's own tree. */
  readonly source?: BlockSource;
  /** Over how many volumes its filesystem was opened, where it lies on several. */
  readonly deviceCount?: number;
  /** Set for a guest's own tree, which is none of the disk's volumes. */
  readonly guest?: GuestTree;
}

export interface UnreadableVolume {
  readonly readable: false;
  readonly name: ByteString;
  readonly error: VolumeError;
  readonly summary: VolumeSummary;
  /** Its bytes; undefined where there are none, and for a guest's own tree. */
  readonly source?: BlockSource;
  readonly guest?: GuestTree;
  /** The volume under which the filesystem is listed that it is a device of. */
  readonly partOf?: string;
  /** Set where a key would open it. */
  readonly locked?: LockedVolume;
}

/** Opens the filesystem of a volume; whatever goes wrong becomes the volume's error. @param index its place on the disk */
export async function openVolume(
  volume: Volume,
  index: number,
  open: (source: BlockSource) => Promise<FileSystem>,
  skipped: NodeError | undefined,
): Promise<OpenVolume> {
  const name = textToByteString(volume.name);
  const unreadable = (error: NodeError, type: string | null = null): UnreadableVolume => {
    return { readable: false, name, error, summary: { ...summarise(volume, undefined, error), filesystem_type: type }, ...sourceOf(volume) };
  };
  // Both a source and an error: it can be read, but its table contradicts itself.
  const remark = volume.error === undefined ? undefined : toNodeError(volume.error, `volume ${volume.name}`);
  if (volume.source === undefined) return unreadable(remark ?? { code: "corrupt", detail: "the volume has no bytes" });
  if (skipped !== undefined) return unreadable(skipped);
  if (volume.isMember === true) {
    const member = unreadable(remark ?? { code: "unsupported", detail: "part of another volume" }, await recogniseType(volume.source));
    return volume.partOf === undefined ? member : { ...member, partOf: volume.partOf };
  }
  if (index >= maxVolumes) return unreadable({ code: "unsupported", detail: `more than ${maxVolumes} volumes on one disk` });
  try {
    const { spanning } = volume;
    const fileSystem = await withTimeout(spanning === undefined ? open(volume.source) : spanning.open(), volumeOpenTimeoutMs);
    const { facts } = fileSystem;
    const error = remark ?? (facts.remark === undefined ? undefined : toNodeError(facts.remark, `volume ${volume.name}`));
    const summary = summarise(volume, facts, error);
    return { readable: true, name, fileSystem, error, summary, ...sourceOf(volume), ...(spanning === undefined ? {} : { deviceCount: spanning.deviceCount }) };
  } catch (error) {
    const type = await recogniseType(volume.source);
    if (type === "crypto_LUKS" && remark === undefined) return openLocked(volume, volume.source, type);
    return unreadable(remark ?? withHint(toNodeError(error, `volume ${volume.name}`), volume), type);
  }
}

async function openLocked(volume: Volume, source: BlockSource, type: string): Promise<OpenVolume> {
  const { uuid, label, error: described } = await describeLocked(source, volume.name);
  const reason = volume.elsewhere === undefined ? described : { ...described, detail: `${described.detail} It lies on another disk of the backup, ${volume.elsewhere}, and may hold parts that this one lacks.` };
  const error = withHint(reason, volume);
  return {
    readable: false,
    name: textToByteString(volume.name),
    error,
    summary: { ...summarise(volume, undefined, error), filesystem_type: type, uuid, label },
    ...sourceOf(volume),
    ...(error.code === "volume_locked" ? { locked: { volume, source } } : {}),
  };
}

function sourceOf({ source }: Volume): { readonly source?: BlockSource } {
  return source === undefined ? {} : { source };
}

/** What nobody here can read, somebody else can. */
function withHint<E extends VolumeError>(error: E, { name }: Volume): E {
  return error.code === "unsupported" ? { ...error, detail: `${error.detail}; ${rawDownloadHint(name)}` } : error;
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DiskError("io_error", `opening it took longer than ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function summarise(volume: Volume, facts: FileSystemFacts | undefined, error: VolumeError | undefined): VolumeSummary {
  const { partition } = volume;
  return {
    name: volume.name,
    path: formatGuestPath([textToByteString(volume.name)]),
    kind: volume.kind,
    // What is used lies on all of its devices.
    size_bytes: volume.spanning === undefined || facts === undefined ? volume.sizeBytes : facts.sizeBytes,
    filesystem_type: facts?.type ?? null,
    label: facts?.label ?? null,
    uuid: facts?.uuid ?? null,
    used_bytes: facts?.usedBytes ?? null,
    state: facts?.state ?? null,
    partition:
      partition === undefined
        ? null
        : {
            number: partition.number,
            table: partition.table,
            type: partition.type,
            uuid: partition.uuid ?? null,
            label: partition.label ?? null,
            start_bytes: partition.startBytes,
          },
    readable: facts !== undefined,
    error: error ?? null,
  };
}
