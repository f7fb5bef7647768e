import { expect, test } from "vitest";
import { memorySource } from "../blocks/memory-source.ts";
import { recognise } from "./recognise.ts";
import { detectFileSystem } from "./registry.ts";

const size = 1024 * 1024;

function volume(...magics: [offset: number, magic: string | Uint8Array][]): Buffer {
  const bytes = Buffer.alloc(size);
  for (const [offset, magic] of magics) Buffer.from(magic as string, "latin1").copy(bytes, offset);
  return bytes;
}

const ext4: [number, string] = [1080, "\x53\xef"];

test.each([
  ["xfs", volume([0, "XFSB"])],
  ["btrfs", volume([65_600, "_BHRfS_M"])],
  ["ntfs", volume([3, "NTFS    "])],
  ["exfat", volume([3, "EXFAT   "])],
  ["BitLocker", volume([3, "-FVE-FS-"])],
  ["crypto_LUKS", volume([0, "LUKS\xba\xbe\x00\x02"])],
  ["LVM2_member", volume([512, "LABELONE"], [536, "LVM2 001"])],
  ["swap", volume([4086, "SWAPSPACE2"])],
  ["iso9660", volume([32_769, "CD001"])],
  ["squashfs", volume([0, "hsqs"])],
  ["f2fs", volume([1024, "\x10\x20\xf5\xf2"])],
  ["ReFS", volume([0, "\0\0\0ReFS\0"])],
  ["zfs_member", volume([131_072 + 4096, "\x0c\xb1\xba\0\0\0\0\0"])],
  ["reiserfs", volume([65_588, "ReIsEr2Fs"])],
  ["jfs", volume([32_768, "JFS1"])],
  ["bcachefs", volume([4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"])],
  ["ext2", volume(ext4)],
])("names %s", async (type, bytes) => {
  expect((await recognise(memorySource(bytes)))?.type).toBe(type);
});

test("names nothing in zeros, noise or a stub", async () => {
  for (const bytes of [Buffer.alloc(size), Buffer.alloc(size, 0xa7), Buffer.alloc(3)]) {
    expect(await recognise(memorySource(bytes))).toBeUndefined();
  }
});

test.each([
  ["0.90 at the end", volume(ext4, [size - 65_536, "\xfc\x4e\x2b\xa9"])],
  ["1.0 at the end", volume(ext4, [size - 8192, "\xfc\x4e\x2b\xa9"])],
  ["1.2 near the start", volume(ext4, [4096, "\xfc\x4e\x2b\xa9"])],
])("never opens a RAID member as the filesystem in it: superblock %s", async (_, bytes) => {
  expect((await recognise(memorySource(bytes)))?.type).toBe("linux_raid_member");
  expect(await detectFileSystem(memorySource(bytes))).toBeUndefined();
});

test("never opens an external journal as a filesystem", async () => {
  const bytes = volume(ext4, [1024 + 0x60, "\x08"]);
  expect((await recognise(memorySource(bytes)))?.type).toBe("jbd");
  expect(await detectFileSystem(memorySource(bytes))).toBeUndefined();
});
