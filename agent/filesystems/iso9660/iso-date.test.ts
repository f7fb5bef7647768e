import { expect, test } from "vitest";
import { parseLongDate, parseShortDate } from "./iso-date.ts";

test.each([
  ["an ordinary day", [1995 - 1900, 6, 30, 12, 34, 56, 0], Date.UTC(1995, 5, 30, 12, 34, 56)],
  ["a leap day", [124, 2, 29, 23, 59, 59, 0], Date.UTC(2024, 1, 29, 23, 59, 59)],
  ["a year beyond 2027, whose byte has its high bit set", [140, 3, 1, 0, 0, 0, 0], Date.UTC(2040, 2, 1)],
  ["the first and the last year", [255, 12, 31, 23, 59, 59, 0], Date.UTC(2155, 11, 31, 23, 59, 59)],
  ["before 1970", [0, 1, 1, 0, 0, 0, 0], Date.UTC(1900, 0, 1)],
  ["east of Greenwich: the clock is ahead", [120, 1, 1, 5, 45, 0, 23], Date.UTC(2020, 0, 1)],
  ["west of Greenwich", [120, 1, 1, 0, 0, 0, 0x100 - 14], Date.UTC(2020, 0, 1, 3, 30)],
  ["an offset beyond 13 hours, which is not believed", [120, 1, 1, 0, 0, 0, 53], Date.UTC(2020, 0, 1)],
  ["a second of 60", [120, 1, 1, 0, 0, 60, 0], Date.UTC(2020, 0, 1, 0, 1)],
])("takes the short form as seconds since 1970: %s", (_, bytes, milliseconds) => {
  expect(parseShortDate(Uint8Array.from([9, ...bytes]), 1)).toEqual({ seconds: milliseconds / 1000, nanoseconds: 0, digits: 0 });
});

test("takes the long form with its hundredths", () => {
  const bytes = Buffer.concat([Buffer.from("2019073012345678"), Buffer.from([0x100 - 28])]);
  expect(parseLongDate(bytes, 0)).toEqual({ seconds: Date.UTC(2019, 6, 30, 12, 34, 56) / 1000 + 7 * 3600, nanoseconds: 780_000_000, digits: 2 });
});

test("knows a long form that is not made of digits", () => {
  expect(parseLongDate(Buffer.from("20190730 234567\0\0"), 0)).toBeUndefined();
});
