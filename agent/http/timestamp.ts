import type { Timestamp } from "../filesystems/filesystem.ts";

/** Seconds that a Date can hold. */
const maxDateSeconds = 8_640_000_000_000;

/** RFC 3339 in UTC with exactly the decimals that the disk stores; null for a time no calendar shows. */
export function formatTimestamp(time: Timestamp | undefined): string | null {
  if (time === undefined || Math.abs(time.seconds) > maxDateSeconds) return null;
  const whole = new Date(time.seconds * 1000).toISOString().slice(0, -5);
  const decimals = String(time.nanoseconds).padStart(9, "0").slice(0, time.digits);
  return decimals === "" ? `${whole}Z` : `${whole}.${decimals}Z`;
}

/** HTTP-date of a file's last change; undefined where HTTP can't tell it, or for one in the future (RFC 9110, 8.8.2.1). */
export function toHttpDate(time: Timestamp | undefined, now: Date): string | undefined {
  if (time === undefined || time.seconds < 0 || time.seconds * 1000 > now.getTime()) return undefined;
  return new Date(time.seconds * 1000).toUTCString();
}
