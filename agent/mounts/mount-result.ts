import type { CommandResult } from "../../shared/messages.ts";
import type { OpenMount } from "./open-mount.ts";

/** What the command `mount` answers about an open disk. */
export function toMountResult(mount: OpenMount): CommandResult<"mount"> {
  const { sizeBytes, volumes } = mount.reader;
  const types = volumes.flatMap((volume) => (volume.readable && volume.filesystem_type !== null ? [volume.filesystem_type] : []));
  return {
    mount_id: mount.mountId,
    nbd_device: mount.nbdDevice,
    filesystem_type: types.length === 0 ? null : types.join(","),
    size_bytes: sizeBytes,
    volumes: [...volumes],
  };
}
