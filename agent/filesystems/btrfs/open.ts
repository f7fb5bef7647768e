import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError, corrupt } from "../../blocks/disk-error.ts";
import { chunkItemBytes, parseChunk, showUuid } from "./chunk-item.ts";
import { ChunkMap } from "./chunk-map.ts";
import { DataReader } from "./data-reader.ts";
import { BtrfsFileSystem, rootInode } from "./filesystem.ts";
import { parseInode } from "./inode-item.ts";
import { itemTypes, keySizeBytes, makeKey, maxOffset, offsetOf, readKey } from "./key.ts";
import { LogicalSpace, type Device } from "./logical-space.ts";
import { replayLogs } from "./log-replay.ts";
import { itemData, keyAt } from "./node.ts";
import { NodeReader } from "./node-reader.ts";
import { checksumTreeId, Subvolumes } from "./subvolumes.ts";
import type { Superblock } from "./superblock.ts";
import { Tree } from "./tree.ts";

const rootTreeOwner = 1n;
const chunkTreeOwner = 3n;
const chunkObjectid = 256;

/** Opens what the newest superblock describes over the devices at hand. */
export async function openBtrfs(
  superblock: Superblock, members: readonly { readonly source: BlockSource; readonly superblock: Superblock }[],
): Promise<BtrfsFileSystem> {
  const devices = new Map<number, Device>();
  for (const { source, superblock: { deviceId, deviceUuid } } of members) devices.set(deviceId, { id: deviceId, uuid: showUuid(deviceUuid), source });
  const chunks = new ChunkMap();
  addSystemChunks(superblock, chunks);
  const space = new LogicalSpace(chunks, devices);
  const nodes = new NodeReader(space, superblock);
  await addChunkTree(superblock, nodes, chunks);

  const rootTree = new Tree(nodes, { logical: superblock.rootLogical, level: superblock.rootLevel, generation: superblock.generation, owner: rootTreeOwner });
  const replayed = await replayLogs(superblock, nodes, new Subvolumes(nodes, rootTree, new Map()));
  const subvolumes = new Subvolumes(nodes, rootTree, replayed.changes);
  const data = new DataReader(space, superblock, () => subvolumes.tree(checksumTreeId), replayed.checksums);
  const rootSubvolume = await subvolumes.findDefault();
  await assertRootDirectory(subvolumes, rootSubvolume);
  return new BtrfsFileSystem({ subvolumes, data, sectorBytes: superblock.sectorBytes, rootSubvolume }, {
    type: "btrfs",
    label: superblock.label,
    uuid: showUuid(superblock.fsid),
    sizeBytes: superblock.totalBytes,
    usedBytes: superblock.usedBytes,
    blockSizeBytes: superblock.sectorBytes,
    state: superblock.logRootLogical === 0 ? "clean" : "recovered",
  });
}

/** The chunks that hold the chunk tree stand in the superblock: key and chunk item, one after the other. */
function addSystemChunks(superblock: Superblock, chunks: ChunkMap): void {
  const { sysChunkArray: array, offsetBytes, sectorBytes } = superblock;
  const fail = (found: string) => corrupt("btrfs sys_chunk_array", offsetBytes, found);
  const minChunkBytes = 0x30;
  for (let at = 0; at < array.length; ) {
    if (array.length - at < keySizeBytes + minChunkBytes) throw fail(`${array.length - at} bytes are left, too few for a chunk`);
    const key = readKey(array, at);
    if (key.type !== itemTypes.chunkItem) throw fail(`an item of type ${key.type}, expected ${itemTypes.chunkItem}`);
    const start = at + keySizeBytes;
    const end = start + chunkItemBytes(array, start);
    if (end > array.length) throw fail(`a chunk ends at ${end} of ${array.length}`);
    chunks.add(parseChunk(array, start, end, offsetOf(key), sectorBytes));
    at = end;
  }
}

async function addChunkTree(superblock: Superblock, nodes: NodeReader, chunks: ChunkMap): Promise<void> {
  const { chunkRootLogical, chunkRootLevel, chunkRootGeneration, sectorBytes } = superblock;
  const tree = new Tree(nodes, { logical: chunkRootLogical, level: chunkRootLevel, generation: chunkRootGeneration, owner: chunkTreeOwner });
  const from = makeKey(chunkObjectid, itemTypes.chunkItem, 0);
  for await (const items of tree.scan(from, makeKey(chunkObjectid, itemTypes.chunkItem, maxOffset))) {
    if (items instanceof DiskError) throw items;
    for (let index = items.start; index < items.end; index++) {
      const data = itemData(items.leaf, index);
      chunks.add(parseChunk(data, 0, data.length, offsetOf(keyAt(items.leaf, index)), sectorBytes));
    }
  }
}

async function assertRootDirectory(subvolumes: Subvolumes, id: number): Promise<void> {
  const tree = await subvolumes.tree(id);
  const item = await tree.find(makeKey(rootInode, itemTypes.inodeItem, 0));
  const what = `btrfs root directory of tree ${id}`;
  if (item === undefined) throw corrupt(what, undefined, "it has no inode item");
  if (parseInode(id, rootInode, item.data).type !== "directory") throw corrupt(what, undefined, "it is no directory");
}
