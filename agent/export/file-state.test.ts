import { expect, test } from "vitest";
import { compareStates, type FileState, isSettled } from "./file-state.ts";

const state: FileState = { device: 1n, inode: 2n, sizeBytes: 3n, modifiedNs: 4n, changedNs: 5n, links: 1n, mode: 0o100644n, uid: 0n, gid: 0n };

test.each([
  ["nothing", {}, "none"],
  ["its size", { sizeBytes: 4n }, "data"],
  ["its modification time, by a nanosecond", { modifiedNs: 5n, changedNs: 6n }, "data"],
  ["the file itself", { inode: 3n }, "data"],
  ["its change time alone", { changedNs: 6n }, "attributes"],
  ["its names", { changedNs: 6n, links: 2n }, "attributes"],
] as const)("a change of %s", (_, change, difference) => {
  expect(compareStates(state, { ...state, ...change })).toBe(difference);
});

test("a state is settled once the clock has moved on by more than a tick, in either direction", () => {
  const at = (changedMs: number) => isSettled({ ...state, changedNs: BigInt(changedMs) * 1_000_000n }, 1_000_000);
  expect([at(1_000_000), at(999_985), at(1_000_010), at(999_900), at(1_000_100)]).toEqual([false, false, false, true, true]);
});
