import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import type { FileSystemDriver } from "../filesystem.ts";
import { Contents } from "./contents.ts";
import { XfsFileSystem, type Parts } from "./filesystem.ts";
import { InodeTable } from "./inode-table.ts";
import { noPendingChanges, type PendingChanges } from "./pending-changes.ts";
import { hasSuperblockMagic, maxSuperblockBytes, minSuperblockBytes, parseSuperblock, type Superblock } from "./superblock.ts";

export const xfs: FileSystemDriver = {
  name: "xfs",

  async probe(source: BlockSource): Promise<boolean> {
    if (source.sizeBytes < minSuperblockBytes) return false;
    return hasSuperblockMagic(await source.read(0, minSuperblockBytes));
  },

  async open(source: BlockSource): Promise<XfsFileSystem> {
    const superblock = await readSuperblock(source);
    const parts = openParts(source, superblock, noPendingChanges());
    const root = await parts.inodes.get(superblock.rootInode);
    if (root.type !== "directory") throw corrupt("XFS root directory", root.offsetBytes, `inode ${root.number} is no directory`);
    return new XfsFileSystem(parts, {
      type: "xfs",
      label: superblock.label,
      uuid: superblock.uuid,
      sizeBytes: superblock.blockCount * superblock.blockSizeBytes,
      usedBytes: (superblock.blockCount - superblock.freeBlockCount) * superblock.blockSizeBytes,
      blockSizeBytes: superblock.blockSizeBytes,
      state: "clean",
    });
  },
};

function openParts(source: BlockSource, superblock: Superblock, changes: PendingChanges): Parts {
  return {
    contents: new Contents(source, superblock, changes.remapped),
    inodes: new InodeTable(source, superblock, changes.contentErrors),
    changes,
  };
}

async function readSuperblock(source: BlockSource): Promise<Superblock> {
  if (source.sizeBytes < minSuperblockBytes) throw corrupt("XFS superblock", 0, `the volume has ${source.sizeBytes} bytes`);
  return parseSuperblock(await source.read(0, Math.min(maxSuperblockBytes, source.sizeBytes)), source.sizeBytes);
}
