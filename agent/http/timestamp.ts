import type { Timestamp } from "../filesystems/filesystem.ts";

/** HTTP-date of a file's last change; undefined where HTTP can't tell it, or for one in the future (RFC 9110, 8.8.2.1). */
export function toHttpDate(time: Timestamp | undefined, now: Date): string | undefined {
  if (time === undefined || time.seconds < 0 || time.seconds * 1000 > now.getTime()) return undefined;
  return new Date(time.seconds * 1000).toUTCString();
}
