import { copyFile, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { type MdMember, openArray } from "../../agent/volumes/mdraid/array.ts";
import { readMdSuperblock, ROLE_JOURNAL } from "../../agent/volumes/mdraid/superblock.ts";
import { scanVolumes } from "../../agent/volumes/scan.ts";
import type { Volume } from "../../agent/volumes/volume.ts";
import { withTemporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { hashSource, scanImages, summarise } from "../volumes/scan-images.ts";
import { oddArrays } from "./images.ts";
import { unsettledArrays, unsettledDisks } from "./unsettled-images.ts";

// Property: what md would make of an array that was not simply stopped, the reader shows, or refuses by name.

const lacks = guestLacks();

async function scan(letters: string): Promise<{ volumes: Volume[]; found: Record<string, string>; said: ReadonlyMap<string, string> }> {
  const { disks, said } = await unsettledArrays();
  const { volumes } = await scanImages([...letters].map((letter) => disks.get(letter)!));
  return { volumes, found: await summarise(volumes.filter((volume) => volume.kind === "array" && volume.error === undefined)), said };
}

/** The members of an array, the journal among them, by its name. */
async function membersOf(name: string): Promise<MdMember[]> {
  const { disks } = await unsettledArrays();
  const members: MdMember[] = [];
  for (const letter of unsettledDisks) {
    for (const { source, kind } of await scanVolumes(cached(openImageSource(disks.get(letter)!)))) {
      const superblock = source === undefined || kind !== "partition" ? undefined : await readMdSuperblock(source);
      if (source !== undefined && superblock?.name === `host:${name}`) members.push({ source, superblock });
    }
  }
  return members;
}

describe.skipIf(lacks !== undefined)(`arrays in the middle of something${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("bad blocks are read from the other members", async () => {
    const { found, said } = await scan("abcd");
    for (const name of ["bad5", "bad1", "bad10"]) expect(found[`md-${name}`], name).toBe(said.get(name));
  });

  test("what is bad in all copies is an error, and all around it can be read", async () => {
    const members = await membersOf("lost");
    const { source } = await openArray(members);
    // Bad in the first copy from sector 1000 on, in the second from 1016 to 1048, in both from 1016 to 1024.
    await expect(source.readInto(1016 * 512, new Uint8Array(8 * 512))).rejects.toMatchObject({ code: "io_error", message: expect.stringContaining("bad blocks") });
    await expect(source.readInto(0, new Uint8Array(1017 * 512))).rejects.toMatchObject({ code: "io_error" });
    const plain = await Promise.all(members.map(async ({ source: member, superblock }) => Buffer.from(await member.read(superblock.dataOffset, 1200 * 512))));
    const around = async (from: number, to: number, slot: 0 | 1): Promise<void> => {
      const expected = plain[slot]!.subarray(from * 512, to * 512);
      expect(Buffer.compare(await source.read(from * 512, expected.length), expected), `sectors ${from} to ${to}`).toBe(0);
    };
    await around(0, 1000, 0);
    await around(1000, 1016, 1);
    await around(1024, 1048, 0);
    await around(1048, 1200, 1);
    const { volumes } = await scan("ab");
    expect(volumes.find((volume) => volume.name === "md-lost")?.source).toBeDefined();
  });

  test("bad blocks count as missing where a member is missing too: an error, never other bytes", async () => {
    const members = await membersOf("bad5");
    const complete = await openArray(members);
    let refused = 0;
    for (const gone of [0, 1, 2]) {
      const { source } = await openArray(members.filter(({ superblock }) => superblock.roles[superblock.device] !== gone));
      for (let offset = 0; offset < source.sizeBytes; offset += 4096) {
        const expected = await complete.source.read(offset, 4096);
        const bytes = new Uint8Array(4096);
        try {
          await source.readInto(offset, bytes);
          expect(Buffer.compare(bytes, expected), `${offset} without ${gone}`).toBe(0);
        } catch (error) {
          expect(error).toMatchObject({ code: "io_error", message: expect.stringContaining("bad blocks") });
          refused += 1;
        }
      }
    }
    // (24 + 511) sectors of one member, 8 of another, 72 of the third; in two of three cases each.
    expect(refused).toBeGreaterThan(60);
    expect(refused).toBeLessThan(250);
  });

  test("a journal that was written back changes nothing; one that was not is replayed", async () => {
    const { found, said } = await scan("abcd");
    expect(found["md-written"]).toBe(said.get("written"));
    expect(found["md-journal"]).toBe(said.get("journal-late"));
    expect(said.get("journal-late")).not.toBe(said.get("journal"));
  });

  test("a journal that is missing is named, and so is a member that its replay would need", async () => {
    const members = await membersOf("journal");
    const isJournal = ({ superblock }: MdMember) => superblock.roles[superblock.device] === ROLE_JOURNAL;
    expect(members.filter(isJournal)).toHaveLength(1);
    const { remark } = await openArray(members.filter((member) => !isJournal(member)));
    expect(remark?.message).toMatch(/its journal is on none of the disks: what was written last may be wrong/);
    await expect(openArray(members.slice(1))).rejects.toMatchObject({ code: "unsupported", message: expect.stringMatching(/member 0 is missing, and its journal holds changes/) });
  });

  test("RAID 0 over members of different sizes, in both layouts", async () => {
    const { found, said } = await scan("abcd");
    expect(found["md-original"]).toBe(said.get("original"));
    const { found: fromLast } = await scan("dcba");
    expect(fromLast["md-alternate"]).toBe(said.get("alternate"));
  });

  test("members with a bitmap: a stale one is not used, a dirty one changes nothing", async () => {
    for (const letters of ["abcd", "bacd"]) {
      const { found, said } = await scan(letters);
      for (const name of ["bitmap", "running"]) expect(found[`md-${name}`], `${name} of ${letters}`).toBe(said.get(name));
    }
    const { volumes } = await scan("a");
    const stale = volumes.find((volume) => volume.name === "md-bitmap")!;
    expect(stale.error?.message).toMatch(/member 1, which it counts as working, is on none of the disks/);
  });

  test("an array that was being reshaped is refused by name, from every disk", async () => {
    for (const letters of ["abcd", "dcba", "c"]) {
      const { volumes } = await scan(letters);
      const array = volumes.find((volume) => volume.name === "md-reshape")!;
      expect(array.source).toBeUndefined();
      expect(array.error).toMatchObject({ code: "unsupported", message: expect.stringContaining("it was being reshaped") });
    }
  });
});

/** Turns the words of a 0.90 superblock around, as a machine of the other byte order would have written them. */
async function swapByteOrder(path: string, offset: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const bytes = Buffer.alloc(4096);
    await file.read(bytes, 0, 4096, offset);
    bytes.swap32();
    // The halves of two 64-bit counters stand the other way around on such machines.
    for (const word of [39, 41]) bytes.subarray(word * 4, word * 4 + 8).swap64().swap32();
    await file.write(bytes, 0, 4096, offset);
  } finally {
    await file.close();
  }
}

describe.skipIf(lacks !== undefined)(`superblocks of the other byte order${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("version 0.90 of a big-endian machine reads the same; mdadm calls it such a one", async () => {
    await withTemporaryFolder(async (folder) => {
      const { disks, said } = await oddArrays();
      const paths: string[] = [];
      for (const letter of ["a", "b", "c", "d"]) {
        const path = join(folder, letter);
        await copyFile(disks.get(letter)!, path);
        paths.push(path);
        const volumes = await scanVolumes(cached(openImageSource(path)));
        for (const { source, partition } of volumes) {
          const superblock = source === undefined || partition === undefined ? undefined : await readMdSuperblock(source);
          if (superblock?.version !== "0.90") continue;
          const offset = Math.floor(source!.sizeBytes / 65536) * 65536 - 65536;
          await swapByteOrder(path, partition!.startBytes + offset);
          if (superblock.name !== "90") continue;
          const member = join(folder, `member-${letter}`);
          await execa("dd", [`if=${path}`, `of=${member}`, "bs=512", `skip=${partition!.startBytes / 512}`, `count=${source!.sizeBytes / 512}`]);
          const { stdout } = await execa("mdadm", ["--examine", "--metadata=0.swap", member], { env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` } });
          expect(stdout).toMatch(/Checksum : \w+ - correct/);
          expect(stdout).toContain(`Events : ${superblock.events}`);
          await rm(member);
        }
      }
      const { volumes } = await scanImages(paths);
      for (const name of ["md90", "md91"]) expect(await hashSource(volumes.find((volume) => volume.name === name)!.source!), name).toBe(said.get(name));
    });
  });
});
