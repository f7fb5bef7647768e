import { describe, expect, test } from "vitest";
import type { BlockSource } from "../../agent/blocks/block-source.ts";
import { counting } from "../../agent/blocks/counting.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import { faulty } from "../../agent/blocks/faulty.ts";
import type { FileSystemDriver } from "../../agent/filesystems/filesystem.ts";
import type { Listing, ListingEntry } from "../tools/listing.ts";
import { Random } from "../tools/random.ts";
import { errorSeparator, walkFileSystem, type WalkOptions } from "../tools/walk-file-system.ts";

/** Enough to meet every kind of structure, little enough to be done hundreds of times. */
const walkOptions: WalkOptions = { maxEntries: 300, maxContentBytes: 256 * 1024 };
const ROUNDS = 25;

interface Subject {
  readonly driver: FileSystemDriver;
  readonly source: BlockSource;
}

/** Failed reads must reach the user as such: not as damage, and never as fewer files. */
export function describeFaults(subject: () => Subject): void {
  describe("when reads fail", () => {
    test("calls it io_error, at its place, and gives everything else as it is", async () => {
      const { driver, source } = subject();
      const counted = counting(source);
      const intact = await walkFileSystem(await driver.open(counted), walkOptions);
      const random = new Random(8082);
      for (let round = 0; round < ROUNDS; round += 1) {
        const ordinal = random.integer(1, counted.reads + 1);
        await expectHonestWalk(driver, faulty(source, { reads: [ordinal] }), intact, `read ${ordinal} failed`);
      }
    });

    test("remembers no failure once reads succeed again", async () => {
      const { driver, source } = subject();
      let isBroken = false;
      const fs = await driver.open(faulty(source, { when: () => isBroken }));
      const intact = await walkFileSystem(fs, walkOptions);
      isBroken = true;
      const broken = await walkFileSystem(fs, walkOptions).catch((error: unknown) => error);
      if (broken instanceof DiskError) expect(broken.code).toBe("io_error");
      isBroken = false;
      const healed = await walkFileSystem(fs, walkOptions);
      expect([...healed.values()]).toEqual([...intact.values()]);
    });
  });
}

async function expectHonestWalk(driver: FileSystemDriver, source: BlockSource, intact: Listing, context: string): Promise<void> {
  let found: Listing;
  try {
    found = await walkFileSystem(await driver.open(source), walkOptions);
  } catch (error) {
    expect((error as DiskError).code, `${context}: ${(error as Error).message}`).toBe("io_error");
    return;
  }
  for (const [path, entry] of found) {
    const before = intact.get(path);
    // A walk that met an error may come to entries beyond those that the intact one stopped at.
    if (before === undefined) continue;
    const added = errorsOf(entry).filter((error) => !errorsOf(before).includes(error));
    for (const error of added) expect(error, `${context}: ${path}`).toMatch(/^io_error/);
    if (added.length === 0) expect(entry, `${context}: ${path}`).toEqual(before);
  }
  const failedDirectories = new Set<string>();
  for (const [path, entry] of found) {
    if (!errorsOf(entry).some((error) => error.startsWith("io_error"))) continue;
    failedDirectories.add(path);
    // A reader may list the part of a directory that it could not read as an entry of its own.
    if (!intact.has(path)) failedDirectories.add(parentOf(path));
  }
  for (const path of intact.keys()) {
    if (!found.has(path)) expect(hasFailedAncestor(path, failedDirectories), `${context}: ${path} is missing`).toBe(true);
  }
}

function errorsOf(entry: ListingEntry): string[] {
  return entry.error?.split(errorSeparator) ?? [];
}

function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

function hasFailedAncestor(path: string, failed: ReadonlySet<string>): boolean {
  for (let at = path; at !== ""; ) {
    at = parentOf(at);
    if (failed.has(at)) return true;
  }
  return false;
}
