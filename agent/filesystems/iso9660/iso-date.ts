// The two forms of a date. Source: ECMA-119, 9.1.5 (numerical, 7 bytes) and 8.4.26.1 (digits, 17 bytes); RRIP 1.12,
// "TF"; which values count and how odd ones are taken: the Linux kernel's fs/isofs/util.c.
//
//   7 bytes                                      17 bytes
//   Offset | Size | Meaning                      Offset | Size | Meaning
//   0      | 1    | years since 1900             0      | 4    | year, in digits
//   1      | 1    | month, 1 to 12               4      | 2    | month
//   2      | 1    | day, 1 to 31                 6      | 2    | day
//   3      | 1    | hour                         8      | 6    | hour, minute, second
//   4      | 1    | minute                       14     | 2    | hundredths of a second
//   5      | 1    | second                       16     | 1    | offset from UTC, as the short form
//   6      | 1    | offset from UTC in quarters of an hour, signed
import type { Timestamp } from "../filesystem.ts";

export const SHORT_DATE_BYTES = 7;
export const LONG_DATE_BYTES = 17;

const SECONDS_PER_QUARTER_HOUR = 900;
/** Offsets beyond 13 hours are not believed: the local time is then taken as UTC, as Linux does. */
const MAX_ZONE_QUARTERS = 52;

/** @param bytes at least 7 from `at` on */
export function parseShortDate(bytes: Uint8Array, at: number): Timestamp {
  const seconds = toSeconds(1900 + bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!, bytes[at + 4]!, bytes[at + 5]!);
  return { seconds: seconds - zoneSeconds(bytes[at + 6]!), nanoseconds: 0, digits: 0 };
}

/** Undefined when it isn't made of digits. @param bytes at least 17 from `at` on */
export function parseLongDate(bytes: Uint8Array, at: number): Timestamp | undefined {
  const number = (offset: number, length: number): number => {
    let value = 0;
    for (let index = at + offset; index < at + offset + length; index += 1) {
      const digit = bytes[index]! - 0x30;
      if (digit < 0 || digit > 9) return NaN;
      value = value * 10 + digit;
    }
    return value;
  };
  const seconds = toSeconds(number(0, 4), number(4, 2), number(6, 2), number(8, 2), number(10, 2), number(12, 2));
  const hundredths = number(14, 2);
  if (Number.isNaN(seconds) || Number.isNaN(hundredths)) return undefined;
  return { seconds: seconds - zoneSeconds(bytes[at + 16]!), nanoseconds: hundredths * 10_000_000, digits: 2 };
}

function zoneSeconds(byte: number): number {
  const quarters = (byte << 24) >> 24;
  return Math.abs(quarters) <= MAX_ZONE_QUARTERS ? quarters * SECONDS_PER_QUARTER_HOUR : 0;
}

/**
 * Seconds since 1970. Values out of range run on into the next unit, and a month of 0 counts as the December before,
 * because Linux computes so: the year is thought to begin in March, which puts the leap day at its end.
 */
function toSeconds(year: number, month: number, day: number, hour: number, minute: number, second: number): number {
  const isBeforeMarch = month <= 2;
  const shiftedYear = isBeforeMarch ? year - 1 : year;
  const shiftedMonth = isBeforeMarch ? month + 10 : month - 2;
  const leapDays = Math.floor(shiftedYear / 4) - Math.floor(shiftedYear / 100) + Math.floor(shiftedYear / 400);
  const days = leapDays + Math.floor((367 * shiftedMonth) / 12) + day + shiftedYear * 365 - 719_499;
  return ((days * 24 + hour) * 60 + minute) * 60 + second;
}
