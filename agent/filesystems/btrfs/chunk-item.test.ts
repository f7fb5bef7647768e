import { expect, test } from "vitest";
import { isReadable, type Profile } from "./chunk-item.ts";

/** Whether a chunk over so many devices can be read without these (from 0). */
function canMiss(profile: Profile, devices: number, ...missing: readonly number[]): boolean {
  const stripes = Array.from({ length: devices }, (_, index) => ({ deviceId: index + 1, offsetBytes: 0, deviceUuid: `${index}` }));
  return isReadable({ logical: 0, lengthBytes: 65_536, profile, stripes }, (stripe) => !missing.includes(stripe.deviceId - 1));
}

// How many devices each profile can lose: the table of mkfs.btrfs(8), "PROFILES".
test("tells which devices a profile makes up for", () => {
  expect([canMiss("single", 1), canMiss("single", 1, 0), canMiss("raid0", 3, 1)]).toEqual([true, false, false]);
  expect([canMiss("raid1", 2, 0), canMiss("raid1", 2, 0, 1)]).toEqual([true, false]);
  expect([canMiss("raid1c3", 3, 0, 2), canMiss("raid1c3", 3, 0, 1, 2)]).toEqual([true, false]);
  expect([canMiss("raid1c4", 4, 0, 1, 2), canMiss("raid1c4", 4, 0, 1, 2, 3)]).toEqual([true, false]);
  expect([canMiss("raid5", 3, 2), canMiss("raid5", 3, 1, 2)]).toEqual([true, false]);
  expect([canMiss("raid6", 4, 0, 3), canMiss("raid6", 4, 0, 1, 3)]).toEqual([true, false]);
  // One of each pair is enough.
  expect([canMiss("raid10", 4, 1, 2), canMiss("raid10", 4, 2, 3)]).toEqual([true, false]);
});
