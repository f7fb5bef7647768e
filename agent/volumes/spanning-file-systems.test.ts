import { expect, test } from "vitest";
import { memorySource } from "../blocks/memory-source.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import { SpanningFileSystems } from "./spanning-file-systems.ts";

const source = memorySource(new Uint8Array(0));

/** Devices as [owner, number, uuid, generation, count of devices], all of one filesystem unless a key is given. */
type Given = readonly [owner: string, deviceId: number, deviceUuid: string, generation: number, deviceCount: number, key?: string];

function find(...given: readonly Given[]) {
  const all = new SpanningFileSystems<string>();
  for (const [owner, deviceId, deviceUuid, generation, deviceCount, key = "one"] of given) {
    const about = { key, title: `filesystem ${key}`, deviceId, deviceUuid, generation, deviceCount, open: async () => ({}) as FileSystem };
    all.add(about, source, owner);
  }
  return all.found().map(({ devices, others, isComplete }) => ({ devices: devices.map(({ owner }) => owner), others: others.map(({ owner }) => owner), isComplete }));
}

test("puts devices together by their filesystem, in the order of their numbers", () => {
  expect(find(["b", 2, "u2", 7, 2], ["x", 1, "v1", 3, 2, "other"], ["a", 1, "u1", 7, 2])).toEqual([
    { devices: ["a", "b"], others: [], isComplete: true },
    { devices: ["x"], others: [], isComplete: false },
  ]);
});

test("leaves filesystems on one device alone, clones of them too", () => {
  expect(find(["a", 1, "u1", 7, 1], ["clone", 1, "u1", 5, 1])).toEqual([]);
});

test("counts the devices that the newest knows", () => {
  // A device was removed: what was left behind on it still knows of two.
  expect(find(["a", 1, "u1", 9, 1], ["old", 2, "u2", 4, 2])).toEqual([{ devices: ["a", "old"], others: [], isComplete: true }]);
  expect(find(["a", 1, "u1", 4, 1], ["added", 2, "u2", 9, 3])).toEqual([{ devices: ["a", "added"], others: [], isComplete: false }]);
});

test("takes the later of two devices with one number, wherever it was found", () => {
  const expected = [{ devices: ["a", "new"], others: ["old"], isComplete: true }];
  expect(find(["a", 1, "u1", 9, 2], ["old", 2, "u2", 4, 2], ["new", 2, "u3", 9, 2])).toEqual(expected);
  expect(find(["a", 1, "u1", 9, 2], ["new", 2, "u3", 9, 2], ["old", 2, "u2", 4, 2])).toEqual(expected);
});

test("doesn't count what shall replace a device and isn't done", () => {
  expect(find(["a", 1, "u1", 9, 1], ["target", 0, "u2", 9, 1])).toEqual([{ devices: ["a"], others: ["target"], isComplete: true }]);
  expect(find(["target", 0, "u2", 9, 1])).toEqual([{ devices: [], others: ["target"], isComplete: false }]);
});
