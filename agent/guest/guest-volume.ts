import type { FileSystem } from "../filesystems/filesystem.ts";
import type { VolumeSummary } from "../../shared/messages.ts";

/** A volume of the open disk, as far as the guest's own tree needs it. */
export interface GuestVolume {
  readonly summary: VolumeSummary;
  /** Undefined when the volume can't be read; `summary.error` says why. */
  readonly fileSystem: FileSystem | undefined;
  /** The name of the volume under which its filesystem is open, where that lies on several: any of them means the whole. */
  readonly partOf?: string;
}
