import { expect, it } from "vitest";
import { formatTimestamp, TimestampFormatter } from "./timestamp.ts";

const formatter = new TimestampFormatter();

it.each([
  [{ seconds: 0, nanoseconds: 0, digits: 0 }, "1970-01-01T00:00:00Z"],
  [{ seconds: 1_759_947_871, nanoseconds: 120_000_000, digits: 9 }, "2025-10-08T18:24:31.120000000Z"],
  [{ seconds: 1_759_947_871, nanoseconds: 123_456_700, digits: 7 }, "2025-10-08T18:24:31.1234567Z"],
  [{ seconds: 1_759_947_871, nanoseconds: 10_000_000, digits: 2 }, "2025-10-08T18:24:31.01Z"],
  [{ seconds: -1, nanoseconds: 999_999_999, digits: 9 }, "1969-12-31T23:59:59.999999999Z"],
  [{ seconds: 4_102_444_800, nanoseconds: 0, digits: 0 }, "2100-01-01T00:00:00Z"],
  [{ seconds: 2 ** 60, nanoseconds: 0, digits: 9 }, null],
])("a time with the digits that the disk stores: %j is %s", (time, text) => {
  expect(formatTimestamp(time)).toBe(text);
  expect(formatter.format(time.seconds, time.nanoseconds, time.digits)).toBe(text);
});

it("no time is null", () => {
  expect(formatTimestamp(undefined)).toBeNull();
});
