import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { looksThere, modeOf, setAttributes, toSeconds } from "./attributes.ts";

describe("attributes", () => {
  it.each([
    ["2025-10-06T18:57:30.481475012Z", 1_759_777_050.481475],
    ["2025-10-06T18:57:30Z", 1_759_777_050],
    ["1969-12-31T23:59:59.5Z", -0.5],
    ["+010000-01-01T00:00:00.000000000Z", 253_402_300_800],
    [null, undefined],
    ["yesterday", undefined],
  ])("%s is %d s", (time, seconds) => {
    if (seconds === undefined) expect(toSeconds(time)).toBeUndefined();
    else expect(toSeconds(time)).toBeCloseTo(seconds, 5);
  });

  it("keeps setuid and the like only together with their owner", () => {
    expect(modeOf({ mode: "6755" }, { owner: false })).toBe(0o755);
    expect(modeOf({ mode: "6755" }, { owner: true })).toBe(0o6755);
    expect(modeOf({ mode: null }, { owner: false })).toBeUndefined();
  });

  it.runIf(process.getuid?.() === 0)("as root sets the owner, and the bits that go with it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pluck-owner-"));
    const entry = { mode: "4751", uid: 1234, gid: 2345, size: 0, modified_at: null };
    for (const [owner, uid, mode] of [[true, 1234, 0o4751], [false, 0, 0o751]] as const) {
      const handle = await open(join(folder, String(owner)), "w");
      await setAttributes(handle, entry, { owner }, 0o666);
      await handle.close();
      const found = await stat(join(folder, String(owner)));
      expect([found.uid, found.mode & 0o7777]).toEqual([uid, mode]);
    }
    await rm(folder, { recursive: true });
  });

  it("sets times to the microsecond, and knows the file by them again", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pluck-attributes-"));
    const entry = { mode: "0640", uid: 0, gid: 0, size: 0, modified_at: "2025-10-06T18:57:30.481475012Z" };
    const handle = await open(join(folder, "x"), "w");
    await setAttributes(handle, entry, { owner: false }, 0o666);
    await handle.close();
    const found = await stat(join(folder, "x"), { bigint: true });
    expect(found.mode & 0o7777n).toBe(0o640n);
    expect(Math.abs(Number(found.mtimeNs - 1_759_777_050_481_475_012n))).toBeLessThan(1000);
    const plain = await stat(join(folder, "x"));
    expect(looksThere(plain, entry)).toBe(true);
    expect(looksThere(plain, { ...entry, modified_at: "2025-10-06T18:57:30.481485012Z" })).toBe(false);
    expect(looksThere(plain, { ...entry, size: 1 })).toBe(false);
    expect(looksThere(plain, { ...entry, modified_at: null })).toBe(false);
    await rm(folder, { recursive: true });
  });
});
