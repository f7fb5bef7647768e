import type { Timestamp } from "../filesystems/filesystem.ts";

/** Seconds that a Date can hold. */
const maxDateSeconds = 8_640_000_000_000;

/** RFC 3339 in UTC with exactly the decimals that the disk stores; null for a time no calendar shows. */
export function formatTimestamp(time: Timestamp | undefined): string | null {
  if (time === undefined || Math.abs(time.seconds) > maxDateSeconds) return null;
  return formatDate(time.seconds) + formatDecimals(time.nanoseconds, time.digits);
}

/** The part before the decimals: "2026-11-23T07:50:00". @param seconds since 1970 UTC, up to maxDateSeconds either way */
function formatDate(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, -5);
}

function formatDecimals(nanoseconds: number, digits: number): string {
  return digits === 0 ? "Z" : `.${String(nanoseconds).padStart(9, "0").slice(0, digits)}Z`;
}

/** The same for many times: neighbours in a folder often share their second, which is then formatted once. */
export class TimestampFormatter {
  #seconds = Number.NaN;
  #date = "";

  format(seconds: number, nanoseconds: number, digits: number): string | null {
    if (Math.abs(seconds) > maxDateSeconds) return null;
    if (seconds !== this.#seconds) {
      this.#date = formatDate(seconds);
      this.#seconds = seconds;
    }
    return this.#date + formatDecimals(nanoseconds, digits);
  }
}
