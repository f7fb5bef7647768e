import { afterAll, describe, expect, test } from "vitest";
import { openFileSource } from "../../agent/export/file-source.ts";
import type { ByteString } from "../../agent/filesystems/byte-string.ts";
import { openDisk, type OpenDisk } from "../../agent/reader/disk.ts";
import type { DiskReader, ListedNode, ListPage, WalkEntry } from "../../agent/reader/disk-reader.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import { ContentHash } from "../tools/content-hash.ts";
import { readExpectedListing } from "../tools/expected-listing.ts";
import { compareListings, type Listing, type ListingEntry } from "../tools/listing.ts";
import { noSharedImages, rawFromQcow2, sharedImages } from "../tools/shared-images.ts";
import { typeLetter } from "../tools/walk-kernel-mount.ts";

// Whole disks through the reader, against what the kernel (or mtools) showed of them. The readers of
// each format have their own tests; here it is about nothing lost between them and the user.
const soundImages = new Set([
  "ext4/view_ext2", "ext4/view_test_disk1", "ext4/view_4k_journal", "ext4/e2_f_extents", "ext4/e2_f_h_normal", "ext4/e2_f_big_sparse",
  "ext4/dsoprea_tiny", "fat/dn_fat16", "fat/rustfatfs_fat16",
]);
const images = [...sharedImages("ext4"), ...sharedImages("fat")].filter((image) => soundImages.has(image.name) && image.expected.has(""));
const closers: (() => Promise<void>)[] = [];

afterAll(async () => {
  for (const close of closers) await close();
});

async function open(qcow2Path: string): Promise<OpenDisk> {
  const source = await openFileSource(await rawFromQcow2(qcow2Path));
  closers.push(() => source.close());
  return openDisk(source, { diskId: qcow2Path });
}

const at = (segments: string[]) => ({ segments, withinDepth: 0 });

/** The walk in the shape of the oracle's listing, with hashes of the contents. */
async function walkListing(disk: DiskReader): Promise<Listing> {
  const listing: Listing = new Map();
  let current: { entry: WalkEntry; listed: ListingEntry; hash: ContentHash; ranges: { offset: number; length: number }[]; position: number } | undefined;
  const finish = () => {
    if (current === undefined || current.entry.type !== "file" || current.entry.error !== undefined) return;
    const { entry, listed, hash, position } = current;
    if (entry.hardLinkOf !== undefined) {
      const { sha256, nonZero } = listing.get(entry.hardLinkOf.join("/"))!;
      Object.assign(listed, { ...(sha256 === undefined ? {} : { sha256 }), ...(nonZero === undefined ? {} : { nonZero }) });
      return;
    }
    if (Number(entry.size) > position) hash.zeros(Number(entry.size) - position);
    Object.assign(listed, hash.digest());
  };
  for await (const item of disk.walk(at(["disk"]))) {
    if (item.kind === "entry") {
      finish();
      const listed = toListingEntry(item);
      listing.set(listed.path, listed);
      const ranges = item.dataRanges ?? [{ offset: 0, length: item.dataLength }];
      current = { entry: item, listed, hash: new ContentHash(Number(item.size)), ranges: ranges.map((range) => ({ ...range })), position: 0 };
      continue;
    }
    let { bytes } = item;
    while (bytes.length > 0) {
      const [range] = current!.ranges;
      if (range === undefined) throw new Error(`${current!.listed.path}: more bytes than announced`);
      if (range.offset > current!.position) current!.hash.zeros(range.offset - current!.position);
      const take = Math.min(range.length, bytes.length);
      current!.hash.update(bytes.subarray(0, take));
      current!.position = range.offset + take;
      range.offset += take;
      range.length -= take;
      bytes = bytes.subarray(take);
      if (range.length === 0) current!.ranges.shift();
    }
  }
  finish();
  return listing;
}

function toListingEntry(entry: WalkEntry): ListingEntry {
  return {
    path: entry.path.join("/"),
    type: typeLetter(entry.mode),
    size: entry.size,
    mode: entry.mode & 0o7777,
    uid: entry.uid,
    gid: entry.gid,
    mtimeSeconds: entry.modifiedAt.seconds,
    mtimeNanoseconds: entry.modifiedAt.nanoseconds,
    ...(entry.symlinkTarget === undefined ? {} : { target: entry.symlinkTarget }),
    ...(entry.xattrs.length === 0 ? {} : { xattrs: Object.fromEntries(entry.xattrs.map(([name, value]) => [name, Buffer.from(value).toString("base64")])) }),
    ...(entry.error === undefined ? {} : { error: `${entry.error.code}: ${entry.error.detail}` }),
  };
}

async function listAll(disk: DiskReader, limit: number): Promise<ListedNode[]> {
  const nodes: ListedNode[] = [];
  let cursor: string | undefined;
  do {
    const page: ListPage = await disk.list({ ...at(["disk"]), recursive: true, limit, ...(cursor === undefined ? {} : { cursor }) });
    nodes.push(...page.nodes);
    cursor = page.next;
  } while (cursor !== undefined);
  return nodes;
}

if (images.length > 0) describe("whole disks, against an independent reader", () => {
  test.each(images.map((image) => [image.name, image] as const))("%s: the walk gives every entry, attribute and byte", async (name, image) => {
    const expected = readExpectedListing(image.expected.get("")!);
    // Owners and modes of a FAT volume are the mount's.
    const ignore = new Set<keyof ListingEntry>(name.startsWith("fat/") ? ["linkCount", "mode", "uid", "gid", "size"] : ["linkCount"]);
    expect(compareListings(expected.listing, await walkListing(await open(image.qcow2Path)), { ignore })).toEqual([]);
  });

  test.each(images.map((image) => [image.name, image] as const))("%s: every path of the recursive listing leads back to its entry, in pages too", async (_, image) => {
    const disk = await open(image.qcow2Path);
    const whole = await listAll(disk, 10_000);
    expect(await listAll(disk, 7)).toEqual(whole);
    const walked: ByteString[] = [];
    for await (const item of disk.walk(at(["disk"]))) if (item.kind === "entry" && item.path.length > 0) walked.push(item.path.join("/"));
    expect(whole.map((node) => node.path.slice(1).join("/"))).toEqual(walked);
    for (const node of whole.slice(0, 300)) {
      const segments = formatGuestPath(node.path).slice(1).split("/");
      expect(await disk.info(at(segments))).toMatchObject({ path: node.path, type: node.type, size: node.size, modifiedAt: node.modifiedAt });
    }
  });
});

if (images.length === 0) test(noSharedImages, () => undefined);
