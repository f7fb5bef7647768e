import type { FileSystem } from "../filesystems/filesystem.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { NodeError } from "./disk-reader.ts";

/** A volume of an open disk. */
export type OpenVolume = ReadableVolume | UnreadableVolume;

export interface ReadableVolume {
  readonly readable: true;
  readonly name: ByteString;
  readonly fileSystem: FileSystem;
  /** What is wrong with the volume although it can be read. */
  readonly error: NodeError | undefined;
  readonly summary: VolumeSummary;
}

export interface UnreadableVolume {
  readonly readable: false;
  readonly name: ByteString;
  readonly error: NodeError;
  readonly summary: VolumeSummary;
}
