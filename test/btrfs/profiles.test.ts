import { hash } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import type { ClosableBlockSource } from "../../agent/blocks/block-source.ts";
import { MissingMember } from "../../agent/blocks/missing-member.ts";
import { openDevices } from "../../agent/filesystems/btrfs/driver.ts";
import { describeAsRoot, requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { walkKernelMount } from "../tools/walk-kernel-mount.ts";
import { makeBtrfs, withBtrfsMount } from "./mount.ts";

interface Profile {
  readonly name: string;
  readonly devices: number;
  readonly data: string;
  readonly metadata: string;
  /** Devices that may be missing or damaged without a loss. */
  readonly spare: number;
}

const profiles: readonly Profile[] = [
  { name: "single", devices: 2, data: "single", metadata: "single", spare: 0 },
  { name: "dup", devices: 1, data: "dup", metadata: "dup", spare: 0 },
  { name: "raid0", devices: 3, data: "raid0", metadata: "raid0", spare: 0 },
  { name: "raid1", devices: 2, data: "raid1", metadata: "raid1", spare: 1 },
  { name: "raid1c3", devices: 3, data: "raid1c3", metadata: "raid1c3", spare: 2 },
  { name: "raid1c4", devices: 4, data: "raid1c4", metadata: "raid1c4", spare: 3 },
  { name: "raid10", devices: 4, data: "raid10", metadata: "raid10", spare: 1 },
  { name: "raid5", devices: 3, data: "raid5", metadata: "raid5", spare: 1 },
  { name: "raid5 over 4, metadata raid1", devices: 4, data: "raid5", metadata: "raid1", spare: 1 },
  { name: "raid6", devices: 4, data: "raid6", metadata: "raid6", spare: 2 },
  { name: "raid6 over 5, metadata raid1c3", devices: 5, data: "raid6", metadata: "raid1c3", spare: 2 },
];

describeAsRoot("profiles of btrfs over several devices", () => {
  let folder: string;
  beforeAll(async () => {
    requireTools("mkfs.btrfs", "btrfs", "losetup");
    folder = await temporaryFolder();
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  for (const profile of profiles) {
    test(`${profile.name}: whole, with devices missing, and with devices damaged`, async () => {
      const images = Array.from({ length: profile.devices }, (_, index) => join(folder, `${profile.name}-${index}.img`));
      await makeBtrfs(images, ["-d", profile.data, "-m", profile.metadata], profile.devices === 1 ? 240 : 200);
      await withBtrfsMount(images, { readOnly: false }, async (directory) => fill(directory));
      const expected = await withBtrfsMount(images, {}, (directory) => walkKernelMount(directory));
      const sources = images.map((image) => openImageSource(image));
      try {
        const whole = await openDevices(sources.map((source) => cached(source)));
        expect(compareListings(expected, await walkFileSystem(whole))).toEqual([]);
        expect(whole.facts.remark).toBeUndefined();
        for (let first = 0; first < Math.min(profile.devices, 3) && profile.spare > 0; first++) {
          const missing = new Set(Array.from({ length: profile.spare }, (_, index) => (first + index) % profile.devices));
          const rest = sources.filter((_, index) => !missing.has(index));
          const fs = await openDevices(rest.map((source) => cached(source)));
          expect(compareListings(expected, await walkFileSystem(fs)), `without ${[...missing].join(", ")}`).toEqual([]);
          for (const device of missing) expect(fs.facts.remark?.message).toContain(`device ${device + 1} (`);
        }
        if (profile.devices > profile.spare + 1) await expectRefused(sources, profile);
        damage(profile.devices === 1 ? images : images.slice(0, profile.spare), profile);
        if (profile.spare > 0 || profile.devices === 1) expect(compareListings(expected, await walk(sources)), "damaged").toEqual([]);
      } finally {
        for (const source of sources) await source.close();
        for (const image of images) await rm(image, { force: true });
      }
    });
  }
});

async function walk(sources: readonly ClosableBlockSource[]): Promise<Listing> {
  return await walkFileSystem(await openDevices(sources.map((source) => cached(source))));
}

/** Without one device more than can be spared it says which are missing. */
async function expectRefused(sources: readonly ClosableBlockSource[], profile: Profile): Promise<void> {
  const few = sources.slice(0, sources.length - profile.spare - 1);
  const missing = sources.slice(few.length).map((_, index) => few.length + index + 1);
  const refused: unknown = await openDevices(few.map((source) => cached(source))).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(MissingMember);
  const { message } = refused as MissingMember;
  expect(message).toMatch(/^btrfs over several devices: device \d+ \([0-9a-f-]{36}\).* on none of the disks looked at/);
  const named = [...message.matchAll(/device (\d+) \(/g)].map((match) => Number(match[1]));
  expect(missing).toEqual(expect.arrayContaining(named));
}

function fill(directory: string): void {
  const random = new Random(12);
  mkdirSync(join(directory, "folder"));
  for (let i = 0; i < 150; i++) writeFileSync(join(directory, "folder", `file-${i}`), random.bytes(i * 7));
  for (const size of [5000, 65_536, 65_537, 300_000, 3_000_001]) writeFileSync(join(directory, `size-${size}`), random.bytes(size));
}

/** Overwrites data and metadata of these devices, but not the superblock. With dup, only the first copies. */
function damage(images: readonly string[], profile: Profile): void {
  for (const image of images) {
    const size = readFileSync(image).length;
    const file = openSync(image, "r+");
    const noise = new Random(3).bytes(64 * 1024);
    if (profile.devices === 1) damageFirstCopies(image, file);
    else for (let at = 1024 * 1024; at < size; at += noise.length) if (at !== 64 * 1024 * 1024) writeSync(file, noise, 0, noise.length, at);
    closeSync(file);
  }
}

/** A block that stands on the image twice is hit in its first place. */
function damageFirstCopies(image: string, file: number): void {
  const bytes = readFileSync(image);
  const seen = new Map<string, number>();
  const zeros = Buffer.alloc(4096);
  let hits = 0;
  for (let at = 1024 * 1024; at < bytes.length; at += 4096) {
    const block = bytes.subarray(at, at + 4096);
    if (block.equals(zeros)) continue;
    const key = hash("sha1", block);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, at);
    else hits += writeSync(file, "damaged", first + 100);
  }
  expect(hits).toBeGreaterThan(0);
}
