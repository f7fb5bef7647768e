import { openSync, readSync, closeSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { cached } from "../../agent/blocks/cached.ts";
import { xfs } from "../../agent/filesystems/xfs/driver.ts";
import type { XfsFileSystem } from "../../agent/filesystems/xfs/filesystem.ts";
import { openImageSource } from "../tools/image-source.ts";
import { compareListings, type Listing, type ListingEntry } from "../tools/listing.ts";
import { walkFileSystem } from "../tools/walk-file-system.ts";
import { guestLacks, guestTestTimeoutMs } from "../volumes/guest.ts";
import { dirtyKinds, listingSlotBytes, debianKernelImages, version4Variants } from "./debian-kernel-images.ts";

// Properties: a filesystem of version 4 that was copied while it was busy, or was cut off, shows entry by entry and byte
// by byte what a kernel that still knows version 4 shows of a copy that it recovered.
// Files on a realtime device show their attributes, and their contents are refused by name.

const lacks = guestLacks();

/** What the guest wrote down: find's lines, sums of the contents, and attributes, each part ended by a line "==". */
function readGuestListing(path: string, slot: number): Listing {
  const bytes = Buffer.alloc(listingSlotBytes);
  const descriptor = openSync(path, "r");
  readSync(descriptor, bytes, 0, bytes.length, slot * listingSlotBytes);
  closeSync(descriptor);
  const text = bytes.subarray(0, bytes.indexOf(0)).toString("latin1");
  const [entries, sums, attributes] = text.split(/^==\n/m);
  const listing: Listing = new Map();
  for (const line of entries!.split("\n")) {
    if (line === "") continue;
    const [name, type, size, mode, uid, gid, time, links, target] = line.split("|");
    const [seconds, fraction] = time!.split(".");
    const entry: ListingEntry = {
      path: name!, type: type!, size: Number(size), mode: Number.parseInt(mode!, 8), uid: Number(uid), gid: Number(gid), linkCount: Number(links),
      mtimeSeconds: Number(seconds), mtimeNanoseconds: Number(fraction!.slice(0, 9)),
    };
    if (type === "l") entry.target = target!;
    listing.set(name!, entry);
  }
  for (const [, sum, name] of sums!.matchAll(/^([0-9a-f]{64}) {2}\.\/(.*)$/gm)) listing.get(name!)!.sha256 = sum!;
  let current: ListingEntry | undefined;
  for (const line of attributes!.split("\n")) {
    const equals = line.indexOf("=");
    if (line.startsWith("# file: ")) current = listing.get(line.slice(8).replace(/^\.\/?/, ""));
    else if (equals > 0) (current!.xattrs ??= {})[line.slice(0, equals)] = line.slice(equals + 1).replace(/^0s/, "");
  }
  return listing;
}

describe.skipIf(lacks !== undefined)(`XFS version 4 left dirty${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  for (const [index, variant] of version4Variants.entries()) {
    test.each(dirtyKinds)(`${variant.name}: %s`, async (kind) => {
      const { disks } = await debianKernelImages();
      const expected = readGuestListing(disks.get("listings")!, index * dirtyKinds.length + dirtyKinds.indexOf(kind));
      expect(expected.size).toBeGreaterThan(50);
      const source = openImageSource(disks.get(`${index}-${kind}`)!);
      try {
        const fs = await xfs.open(cached(source));
        expect(fs.facts.state).toBe("recovered");
        expect(compareListings(expected, await walkFileSystem(fs))).toEqual([]);
      } finally {
        await source.close();
      }
    });
  }
});

describe.skipIf(lacks !== undefined)(`XFS with a realtime device${lacks === undefined ? "" : ` (${lacks})`}`, { timeout: guestTestTimeoutMs }, () => {
  test("files on it are refused by name, the others read", async () => {
    const { disks } = await debianKernelImages();
    const source = openImageSource(disks.get("realtime")!);
    try {
      const fs = (await xfs.open(cached(source))) as XfsFileSystem;
      expect(fs.facts.state).toBe("recovered");
      const find = async (name: string): Promise<number> => (await fs.lookup(fs.root, name))!.node;
      const [plain, realtime, hole] = await fs.stat([await find("plain"), await find("realtime"), await find("realtime-hole")]);
      expect(plain).toMatchObject({ type: "file", size: 20_000 });
      expect(plain).not.toHaveProperty("contentError");
      expect(realtime).toMatchObject({ type: "file", size: 100_000, contentError: { code: "unsupported", message: expect.stringContaining("XFS realtime file") } });
      const file = await find("realtime");
      await expect((async () => fs.extents(file, 0, 4096))()).rejects.toMatchObject({ code: "unsupported" });
      // No block of it is on the other device.
      expect(hole).toMatchObject({ type: "file", size: 50_000 });
      expect(hole).not.toHaveProperty("contentError");
    } finally {
      await source.close();
    }
  });
});
