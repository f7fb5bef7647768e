import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import { overlay } from "../../blocks/overlay.ts";
import { asBuffer } from "../byte-string.ts";
import type { FileSystemDriver } from "../filesystem.ts";
import { Contents } from "./contents.ts";
import { XfsFileSystem, type Parts } from "./filesystem.ts";
import { InodeTable } from "./inode-table.ts";
import { finishExchanges } from "./finish-exchanges.ts";
import { readJournal, type JournalContents } from "./journal.ts";
import { hasSuperblockMagic, maxSuperblockBytes, minSuperblockBytes, parseSuperblock, type Superblock } from "./superblock.ts";

/** Above this many groups the superblock's own count has to do: reading all their headers would take too long. */
const maxGroupsCounted = 64;
/** Of the header of a group's free space: in its second sector. */
const freeSpaceMagic = 0x58414746;

/**
 * XFS of versions 4 and 5. Shows what Linux shows after its own recovery, but for this:
 * - Names in a damaged directory block are listed with an error, where Linux refuses the rest of the directory.
 * - Extended attributes that can be read are shown, with an error beside them, where others of the same file can't.
 * - Linux refuses a volume with a log whose tail it can't find; so does the reader, though files might be readable.
 */
export const xfs: FileSystemDriver = {
  name: "xfs",

  async probe(source: BlockSource): Promise<boolean> {
    if (source.sizeBytes < minSuperblockBytes) return false;
    return hasSuperblockMagic(await source.read(0, minSuperblockBytes));
  },

  async open(source: BlockSource): Promise<XfsFileSystem> {
    const before = await readSuperblock(source);
    const journal = await readJournal(source, before);
    const recovered = overlay(source, before.blockSizeBytes, journal.blocks);
    // The log may hold the superblock too: it is read anew, for its counters, and when the filesystem was grown.
    const superblock = journal.isEmpty ? before : await readSuperblock(recovered);
    if (superblock.blockSizeBytes !== before.blockSizeBytes) throw corrupt("XFS superblock", 0, "its log changes the block size");
    const parts = openParts(recovered, superblock, journal);
    await finishExchanges(parts, journal.changes);
    const root = await parts.inodes.get(superblock.rootInode);
    if (root.type !== "directory") throw corrupt("XFS root directory", root.offsetBytes, `inode ${root.number} is no directory`);
    const freeBlocks = journal.isEmpty ? superblock.freeBlockCount : await countFreeBlocks(recovered, superblock);
    return new XfsFileSystem(parts, {
      type: "xfs",
      label: superblock.label,
      uuid: superblock.uuid,
      sizeBytes: superblock.blockCount * superblock.blockSizeBytes,
      usedBytes: Math.max(0, superblock.blockCount - freeBlocks) * superblock.blockSizeBytes,
      blockSizeBytes: superblock.blockSizeBytes,
      state: journal.isEmpty ? "clean" : "recovered",
    });
  },
};

function openParts(source: BlockSource, superblock: Superblock, { blocks, changes }: JournalContents): Parts {
  return {
    contents: new Contents(source, superblock, changes.remapped, blocks),
    inodes: new InodeTable(source, superblock, changes.contentErrors),
    changes,
  };
}

async function readSuperblock(source: BlockSource): Promise<Superblock> {
  if (source.sizeBytes < minSuperblockBytes) throw corrupt("XFS superblock", 0, `the volume has ${source.sizeBytes} bytes`);
  return parseSuperblock(await source.read(0, Math.min(maxSuperblockBytes, source.sizeBytes)), source.sizeBytes);
}

/** Linux writes the superblock's count at unmount only, and counts anew after a crash. */
async function countFreeBlocks(source: BlockSource, superblock: Superblock): Promise<number> {
  const { groupCount, groupBlocks, blockSizeBytes, sectorSizeBytes, blockCount } = superblock;
  if (groupCount > maxGroupsCounted) return superblock.freeBlockCount;
  let free = 0;
  for (let group = 0; group < groupCount; group++) {
    const header = asBuffer(await source.read(group * groupBlocks * blockSizeBytes + sectorSizeBytes, 64));
    if (header.readUInt32BE(0) !== freeSpaceMagic) return superblock.freeBlockCount;
    // agf_flcount, agf_freeblks, agf_btreeblks
    free += header.readUInt32BE(48) + header.readUInt32BE(52) + header.readUInt32BE(60);
  }
  return Math.min(free, blockCount);
}
