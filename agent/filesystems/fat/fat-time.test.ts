import { expect, test } from "vitest";
import { fatSeconds } from "./fat-time.ts";

function pack(year: number, month: number, day: number, hour = 0, minute = 0, second = 0): [number, number] {
  return [((year - 1980) << 9) | (month << 5) | day, (hour << 11) | (minute << 5) | (second >>> 1)];
}

test("agrees with the calendar on every day from 1980 to 2107", () => {
  for (let day = Date.UTC(1980, 0, 1); day <= Date.UTC(2107, 11, 31); day += 86_400_000) {
    const date = new Date(day);
    const [packed] = pack(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate());
    if (fatSeconds(packed, 0) !== day / 1000) throw new Error(`${date.toISOString()} came out as ${fatSeconds(packed, 0)}`);
  }
});

test("adds the time of day in steps of two seconds", () => {
  const [date, time] = pack(2025, 10, 8, 19, 24, 58);
  expect(fatSeconds(date, time)).toBe(Date.UTC(2025, 9, 8, 19, 24, 58) / 1000);
});

test("takes the day that isn't one, all zeros, for the first of 1980", () => {
  expect(fatSeconds(0, 0)).toBe(315_532_800);
});
