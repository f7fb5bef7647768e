import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClosableBlockSource, MaybePromise } from "../../agent/blocks/block-source.ts";
import { cached } from "../../agent/blocks/cached.ts";
import { counting } from "../../agent/blocks/counting.ts";
import { DiskError } from "../../agent/blocks/disk-error.ts";
import type { Attributes, FileSystem, FileSystemDriver } from "../../agent/filesystems/filesystem.ts";
import { detectFileSystem } from "../../agent/filesystems/registry.ts";
import { openImageSource } from "../tools/image-source.ts";
import { Random } from "../tools/random.ts";
import { readContents } from "../tools/read-contents.ts";
import { collectTree, readWhole, type TreeItem } from "./collect-tree.ts";
import { describeFaults } from "./faults.ts";
import { describeMutations } from "./mutations.ts";

const MAX_ITEMS = 2000;
const SAMPLES = 60;
/** Files up to this size are read whole to compare ranges with. */
const MAX_WHOLE_BYTES = 4 * 1024 * 1024;

const typeBits = { file: 0o10, directory: 0o4, symlink: 0o12 } as const;

/**
 * What every reader owes on every image that it opens, damaged ones included. Errors are DiskErrors; damage may
 * hide nothing and shift nothing.
 * @param makeImage gives the path of a raw image of one filesystem
 */
export function describeFileSystemContract(name: string, makeImage: () => Promise<string>): void {
  describe(`${name} keeps the contract`, () => {
    let path: string;
    let source: ClosableBlockSource;
    let driver: FileSystemDriver;
    let fs: FileSystem;
    let items: TreeItem[];
    const random = new Random(20_251_008);

    beforeAll(async () => {
      path = await makeImage();
      source = openImageSource(path);
      const found = await detectFileSystem(source);
      if (found === undefined) throw new Error(`${path}: no reader recognises it`);
      driver = found;
      fs = await driver.open(cached(source));
      items = await collectTree(fs, MAX_ITEMS);
    });
    afterAll(async () => await source?.close());

    const sample = (filter: (item: TreeItem) => boolean = () => true): TreeItem[] =>
      random.shuffle(items.filter(filter)).slice(0, SAMPLES);
    const regularFiles = (): { item: TreeItem; size: number }[] =>
      sample((item) => isReadableFile(item)).map((item) => ({ item, size: Number((item.attributes as Attributes).size) }));

    test("lists the root the same each time", async () => {
      const first = await readWhole(fs, fs.root);
      const second = await readWhole(fs, fs.root);
      expect(second.entries.map((entry) => entry.name)).toEqual(first.entries.map((entry) => entry.name));
      expect(second.error?.message).toBe(first.error?.message);
      expect(await idsOf(fs, second.entries.map((entry) => entry.node))).toEqual(await idsOf(fs, first.entries.map((entry) => entry.node)));
    });

    test("gives only names that a path can hold", () => {
      for (const { entry } of items) {
        expect(entry.name).not.toBe("");
        expect([".", ".."]).not.toContain(entry.name);
        expect(entry.name).not.toMatch(/[/\0]|[^\x00-\xff]/);
      }
    });

    test("finds by lookup what it lists", async () => {
      for (const item of sample((candidate) => candidate.isUnique)) {
        const found = await orDiskError(() => fs.lookup(item.directory, item.entry.name));
        if (found instanceof DiskError) {
          // A directory damaged further on may not know whether a name comes back; its listing said so as well.
          const { error } = await readWhole(fs, item.directory);
          expect(item.entry.error ?? error, `${item.path}: lookup threw ${found.message}`).toBeDefined();
          continue;
        }
        // The made-up name of a damaged entry need not lead back to it.
        if (found === undefined && item.entry.error !== undefined) continue;
        expect(found, item.path).toBeDefined();
        expect(found!.name).toBe(item.entry.name);
        const [attributes] = await fs.stat([found!.node]);
        expect(attributes, item.path).toEqual(item.attributes);
      }
    });

    test("finds no name that isn't there", async () => {
      const missing = await orDiskError(() => fs.lookup(fs.root, "no such name \xf0\x9f\x8d\x84"));
      const { error } = await readWhole(fs, fs.root);
      if (error === undefined) expect(missing).toBeUndefined();
      else expect(missing).toBeInstanceOf(DiskError);
    });

    test("answers a batch of stats in order, as it answers each alone", async () => {
      const some = sample();
      const batch = await fs.stat(some.map((item) => item.entry.node));
      expect(batch).toHaveLength(some.length);
      for (const [index, item] of some.entries()) {
        const [alone] = await fs.stat([item.entry.node]);
        expect(batch[index], item.path).toEqual(alone);
      }
      expect(await fs.stat([])).toEqual([]);
    });

    test("gives attributes that agree with each other and with the directory", () => {
      for (const { path: shown, entry, attributes } of items) {
        if (attributes instanceof DiskError) continue;
        if (entry.type !== undefined && entry.error === undefined) expect(attributes.type, shown).toBe(entry.type);
        if (attributes.type !== "other") expect(attributes.mode >>> 12, shown).toBe(typeBits[attributes.type]);
        expect(Number(attributes.size), shown).toBeGreaterThanOrEqual(0);
        if (typeof attributes.size === "number") expect(Number.isSafeInteger(attributes.size), shown).toBe(true);
        expect(attributes.mtimeDigits, shown).toBeLessThanOrEqual(9);
        expect(Number.isSafeInteger(attributes.mtimeSeconds), shown).toBe(true);
        assertNanoseconds(attributes.mtimeNanoseconds, shown);
      }
    });

    test("gives details, or says why not", async () => {
      for (const { path: shown, entry } of sample()) {
        const details = await orDiskError(() => fs.details(entry.node));
        if (details instanceof DiskError) continue;
        for (const time of [details.accessedAt, details.changedAt, details.createdAt]) {
          if (time !== undefined) assertNanoseconds(time.nanoseconds, shown);
        }
        for (const [attribute, value] of details.xattrs) {
          expect(attribute, shown).toMatch(/^(user|system|security|trusted|btrfs)\./);
          expect(value).toBeInstanceOf(Uint8Array);
        }
      }
    });

    test("gives a link target for every symlink, or says why not", async () => {
      for (const { path: shown, entry, attributes } of items) {
        if (attributes instanceof DiskError || attributes.type !== "symlink") continue;
        const target = await orDiskError(() => fs.readLink(entry.node));
        if (!(target instanceof DiskError)) expect(target, shown).not.toContain("\0");
      }
    });

    test("covers every file with extents, without gaps, from any offset", async () => {
      for (const { item, size } of regularFiles()) {
        for (const offset of [0, size - 1, ...Array.from({ length: 5 }, () => random.integer(0, size))]) {
          const length = random.pick([1, 4096, size, 2 ** 40]);
          const extents = await orDiskError(() => fs.extents(item.entry.node, offset, length));
          if (extents instanceof DiskError) continue;
          expect(extents.length, item.path).toBeGreaterThan(0);
          let position = offset;
          for (const extent of extents) {
            expect(extent.offset, item.path).toBe(position);
            expect(extent.length, item.path).toBeGreaterThan(0);
            if (extent.kind === "data") expect(extent.sourceOffset + extent.length).toBeLessThanOrEqual(extent.source.sizeBytes);
            if (extent.kind === "inline") expect(extent.bytes.length).toBe(extent.length);
            position += extent.length;
          }
          expect(position, item.path).toBeLessThanOrEqual(Math.min(size, offset + length));
        }
      }
    });

    test("reads any range as the same part of the whole file", async () => {
      for (const { item, size } of regularFiles()) {
        if (size > MAX_WHOLE_BYTES) continue;
        const whole = await orDiskError(() => readContents(fs, item.entry.node, 0, size));
        if (whole instanceof DiskError) continue;
        for (let round = 0; round < 5; round += 1) {
          const offset = random.integer(0, size);
          const length = random.integer(1, size - offset + 1);
          const part = await readContents(fs, item.entry.node, offset, length);
          expect(part.equals(whole.subarray(offset, offset + length)), `${item.path} ${offset}+${length}`).toBe(true);
        }
      }
    });

    test("opens and lists the root with few reads", async () => {
      const counted = counting(source);
      const opened = await driver.open(cached(counted));
      const { entries } = await readWhole(opened, opened.root);
      await opened.stat(entries.map((entry) => entry.node));
      // Blocks of 64 KiB: the superblock, its tables, the journal's header; then what holds the entries. Directories
      // on FAT and scattered inodes cost one more each.
      expect(counted.reads).toBeLessThanOrEqual(32 + entries.length / 2);
    });

    describeFaults(() => ({ driver, source }));
    describeMutations(() => path);
  });
}

function isReadableFile({ attributes }: TreeItem): boolean {
  return !(attributes instanceof DiskError) && attributes.type === "file" && attributes.size > 0 && attributes.contentError === undefined && typeof attributes.size === "number";
}

async function idsOf(fs: FileSystem, nodes: readonly unknown[]): Promise<(number | string)[]> {
  return (await fs.stat(nodes)).map((found) => (found instanceof DiskError ? found.message : found.id));
}

function assertNanoseconds(value: number, shown: string): void {
  expect(value, shown).toBeGreaterThanOrEqual(0);
  expect(value, shown).toBeLessThanOrEqual(999_999_999);
}

/** The result, or the DiskError it failed with; anything else is a mistake in the reader and fails the test. */
async function orDiskError<T>(call: () => MaybePromise<T>): Promise<T | DiskError> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
}
