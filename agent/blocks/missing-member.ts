import { DiskError } from "./disk-error.ts";

/**
 * A part of a group, an array or a filesystem over several devices that is on none of the disks looked at. The bytes
 * that are there are well formed, so it is no damage; and trying again won't help unless the disk joins the backup.
 */
export class MissingMember extends DiskError {
  constructor(what: string) {
    super("unsupported", what);
  }
}
