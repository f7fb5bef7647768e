import { expect, test } from "vitest";
import type { WalkItem } from "./disk-reader.ts";
import { packGroup, unpackGroup } from "./pack-walk.ts";

const base = { mode: 0o100644, uid: 2 ** 32 - 1, gid: 0, modifiedAt: { seconds: -5, nanoseconds: 999_999_999, digits: 9 } };
const across = <T>(value: T): T => structuredClone(value);

test("a group of a walk crosses unchanged, its bytes with their entries", () => {
  const entry = { kind: "entry" as const, size: 5, ...base, deviceMajor: 0, deviceMinor: 0, xattrs: [], dataLength: 5 };
  const bytes = (text: string) => ({ kind: "data" as const, bytes: new Uint8Array(Buffer.from(text)) });
  const group: WalkItem[] = [
    bytes("rest of the one before"),
    { ...entry, path: [], type: "directory", dataLength: 0 },
    { ...entry, path: ["a"], type: "file" },
    bytes("ab"),
    bytes("cde"),
    { ...entry, path: ["b"], type: "other", deviceMajor: 4095, deviceMinor: 1_048_575, dataLength: 0 },
    { ...entry, path: ["c", "d"], type: "file", hardLinkOf: ["a"], dataLength: 0 },
    { ...entry, path: ["c", "e"], type: "file", size: 2n ** 62n, error: { code: "io_error", detail: "y" }, dataLength: 0 },
    { ...entry, path: ["c", "f"], type: "file", xattrs: [["user.x", new Uint8Array([1, 2])]], dataRanges: [{ offset: 65_536, length: 5 }], xattrError: { code: "corrupt", detail: "z" } },
    bytes("fghij"),
  ];
  expect([...unpackGroup(across(packGroup(group)))]).toEqual(group);
  expect([...unpackGroup(across(packGroup([])))]).toEqual([]);
  // A large chunk comes alone and isn't copied.
  const large = new Uint8Array(1000);
  expect(packGroup([{ kind: "data", bytes: large }]).bytes).toBe(large);
});
