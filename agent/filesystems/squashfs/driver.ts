import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError } from "../../blocks/disk-error.ts";
import type { FileSystem, FileSystemDriver } from "../filesystem.ts";
import { SquashFileSystem } from "./filesystem.ts";
import { MAGIC, parseSuperblock, SUPERBLOCK_BYTES } from "./superblock.ts";

/** Squashfs 4.0 with every compression that Linux reads. */
export const squashfs: FileSystemDriver = {
  name: "squashfs",

  async probe(source: BlockSource): Promise<boolean> {
    if (source.sizeBytes < SUPERBLOCK_BYTES) return false;
    const bytes = await source.read(0, SUPERBLOCK_BYTES);
    return new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_BYTES).getUint32(0, true) === MAGIC;
  },

  async open(source: BlockSource): Promise<FileSystem> {
    const superblock = parseSuperblock(await source.read(0, SUPERBLOCK_BYTES), source.sizeBytes);
    const fs = new SquashFileSystem(source, superblock);
    const [root] = await fs.stat([fs.root]);
    if (root instanceof DiskError) throw root;
    if (root!.type !== "directory") throw corrupt("squashfs superblock", 32, `the root inode is a ${root!.type}`);
    return fs as FileSystem;
  },
};
