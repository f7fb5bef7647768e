import type { BlockSource } from "../blocks/block-source.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import { PluckError } from "../../shared/errors.ts";
import { nameCandidates } from "../../shared/guest-path.ts";
import type { OpenVolume } from "./open-volume.ts";

/** How such a download is asked for, for messages of volumes that can't be read. */
export function rawDownloadHint(name: string): string {
  return `download it raw with GET /api/v1/restore/{mount_id}/download?path=/${name}&raw=true`;
}

export interface RawVolume {
  readonly volume: OpenVolume;
  readonly source: BlockSource;
}

/**
 * The bytes of a volume as the disk holds them, whatever they are: also of one that nothing can read.
 * @throws PluckError invalid_request (the path is no volume), path_not_found, or why the volume has no bytes
 */
export function findRawVolume(volumes: readonly OpenVolume[], segments: readonly string[]): RawVolume {
  const [first, ...rest] = segments;
  if (first === undefined || rest.length > 0) throw new PluckError("invalid_request", "path: a raw download has exactly a volume as its path, as /p1.");
  const candidates = nameCandidates(first);
  const volume = volumes.find(({ name }) => candidates.includes(name));
  if (volume === undefined) {
    throw new PluckError("path_not_found", `There is no volume ${JSON.stringify(first)} to download raw; there are: ${volumes.map(({ summary }) => summary.name).join(", ") || "none"}.`);
  }
  if (volume.source !== undefined) return { volume, source: volume.source };
  if (!volume.readable) throw new PluckError(volume.error.code, volume.error.detail);
  throw new PluckError("unsupported", `${volume.summary.path} has no bytes of its own.`);
}

/** A volume as a file, for whoever reads the contents of files: holes are zeros that nobody has to read. */
export function rawContents(source: BlockSource): Pick<FileSystem, "extents"> {
  return {
    extents: async (_, offset, length) => {
      const extents = await source.extents(offset, Math.min(length, source.sizeBytes - offset));
      return extents.map((extent) =>
        extent.hole
          ? { kind: "hole", offset: extent.offset, length: extent.length }
          : { kind: "data", offset: extent.offset, length: extent.length, source, sourceOffset: extent.offset },
      );
    },
  };
}
