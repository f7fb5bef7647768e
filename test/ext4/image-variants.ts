import { rm, truncate, writeFile } from "node:fs/promises";
import { execa } from "execa";
import { withLoopMount } from "../tools/loop-mount.ts";
import { populate } from "./populate.ts";

export interface ImageVariant {
  readonly name: string;
  /** As blkid would name it. */
  readonly type: "ext2" | "ext3" | "ext4";
  readonly blockSizeBytes: number;
  /** For mke2fs, beside -b. */
  readonly arguments: readonly string[];
  readonly sizeMegabytes?: number;
  readonly largeAttributes?: boolean;
  /** Turned on once the filesystem is filled: a kernel without quotas can read it then, but not write it. */
  readonly addedFeatures?: string;
}

/** Feature sets that Linux can both write and read here. */
export const imageVariants: readonly ImageVariant[] = [
  { name: "ext2 with 1 KiB blocks", type: "ext2", blockSizeBytes: 1024, arguments: ["-t", "ext2"] },
  { name: "ext2 with 4 KiB blocks and 128-byte inodes", type: "ext2", blockSizeBytes: 4096, arguments: ["-t", "ext2", "-I", "128"] },
  { name: "ext2 without file types in directories", type: "ext2", blockSizeBytes: 2048, arguments: ["-t", "ext2", "-O", "^filetype,^dir_index,^sparse_super,^resize_inode"] },
  { name: "ext3 with 1 KiB blocks", type: "ext3", blockSizeBytes: 1024, arguments: ["-t", "ext3", "-J", "size=4"] },
  { name: "ext3 with 2 KiB blocks and 256-byte inodes", type: "ext3", blockSizeBytes: 2048, arguments: ["-t", "ext3", "-I", "256", "-J", "size=4"] },
  { name: "ext4 as made by default", type: "ext4", blockSizeBytes: 4096, arguments: ["-t", "ext4"] },
  { name: "ext4 with 1 KiB blocks and 128-byte inodes", type: "ext4", blockSizeBytes: 1024, arguments: ["-t", "ext4", "-I", "128"] },
  { name: "ext4 with uninit_bg, without metadata_csum or 64bit", type: "ext4", blockSizeBytes: 1024, arguments: ["-t", "ext4", "-O", "^metadata_csum,uninit_bg,^64bit"] },
  { name: "ext4 with meta_bg, without flex_bg", type: "ext4", blockSizeBytes: 1024, arguments: ["-t", "ext4", "-O", "meta_bg,^flex_bg,^resize_inode"] },
  { name: "ext4 with inline_data", type: "ext4", blockSizeBytes: 4096, arguments: ["-t", "ext4", "-O", "inline_data"] },
  { name: "ext4 with inline_data and 1 KiB inodes", type: "ext4", blockSizeBytes: 2048, arguments: ["-t", "ext4", "-I", "1024", "-O", "inline_data"] },
  { name: "ext4 with bigalloc", type: "ext4", blockSizeBytes: 1024, arguments: ["-t", "ext4", "-O", "bigalloc", "-C", "16384"] },
  { name: "ext4 with ea_inode and large_dir", type: "ext4", blockSizeBytes: 4096, arguments: ["-t", "ext4", "-O", "ea_inode,large_dir"], largeAttributes: true },
  { name: "ext4 with quota, project and sparse_super2", type: "ext4", blockSizeBytes: 4096, arguments: ["-t", "ext4", "-O", "sparse_super2,^resize_inode"], addedFeatures: "quota,project" },
  { name: "ext4 without a journal or extents", type: "ext4", blockSizeBytes: 4096, arguments: ["-t", "ext4", "-O", "^has_journal,^extent,^64bit"] },
  { name: "ext4 with a checksum seed, MMP and encryption allowed", type: "ext4", blockSizeBytes: 2048, arguments: ["-t", "ext4", "-O", "metadata_csum_seed,mmp,encrypt"] },
];

export const testUuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

/** Makes the filesystem, not yet filled. */
export async function makeImage(path: string, variant: ImageVariant): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, "");
  await truncate(path, (variant.sizeMegabytes ?? 96) * 1024 * 1024);
  const fixed = ["-q", "-F", "-U", testUuid, "-L", "pluck test", "-b", String(variant.blockSizeBytes)];
  await execa("mke2fs", [...fixed, ...variant.arguments, path]);
}

/** Makes the filesystem and lets Linux fill it. */
export async function makeFilledImage(path: string, variant: ImageVariant): Promise<void> {
  await makeImage(path, variant);
  await withLoopMount(path, { readOnly: false, type: "ext4" }, async (directory) => {
    const { blockSizeBytes, largeAttributes = false } = variant;
    await populate(directory, { blockSizeBytes, largeAttributes, manyEntries: 900 });
  });
  if (variant.addedFeatures !== undefined) await execa("tune2fs", ["-O", variant.addedFeatures, path]);
}
