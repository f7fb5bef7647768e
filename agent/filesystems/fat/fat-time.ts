// Dates and times of a directory record. Source: fatgen103, "Date and Time Formats"; out-of-range values as in the
// Linux kernel's fs/fat/misc.c. FAT stores local time without a zone; like a default Linux mount it is taken as UTC.
//
//   Bits of the date: 15–9 years since 1980 | 8–5 month | 4–0 day
//   Bits of the time: 15–11 hours | 10–5 minutes | 4–0 seconds / 2
//   Hundredths (creation only): 0 to 199, added to the two-second time

const SECONDS_PER_DAY = 86_400;
/** From 1970-01-01 to 1980-01-01. */
const DAYS_TO_1980 = 3652;
/** Years since 1980 of the one leap year in reach that isn't. */
const YEAR_2100 = 120;
/** By month; 0 and 13 to 15 can be stored too. */
const daysBeforeMonth = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 0, 0, 0] as const;

/** Seconds since 1970-01-01 UTC. */
export function fatSeconds(date: number, time: number): number {
  const year = date >>> 9;
  const month = Math.max(1, (date >>> 5) & 0xf);
  const day = Math.max(1, date & 0x1f) - 1;
  const isLeap = year % 4 === 0 && year !== YEAR_2100;
  let leapDays = Math.floor((year + 3) / 4);
  if (year > YEAR_2100) leapDays -= 1;
  if (isLeap && month > 2) leapDays += 1;
  const days = year * 365 + leapDays + daysBeforeMonth[month]! + day + DAYS_TO_1980;
  return days * SECONDS_PER_DAY + (time >>> 11) * 3600 + ((time >>> 5) & 0x3f) * 60 + (time & 0x1f) * 2;
}
