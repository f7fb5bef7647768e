import type { BlockSource } from "../../blocks/block-source.ts";
import { DiskError, corrupt, unsupported } from "../../blocks/disk-error.ts";
import { MissingMember } from "../../blocks/missing-member.ts";
import { chunkItemBytes, isReadable, parseChunk, showUuid } from "./chunk-item.ts";
import { ChunkMap } from "./chunk-map.ts";
import { DataReader } from "./data-reader.ts";
import { parseDeviceItem, type DeviceItem } from "./device-item.ts";
import { BtrfsFileSystem, rootInode } from "./filesystem.ts";
import type { FileSystemFacts } from "../filesystem.ts";
import { parseInode } from "./inode-item.ts";
import { isOf, itemTypes, keySizeBytes, makeKey, maxOffset, offsetOf, readKey } from "./key.ts";
import { LogicalSpace, missingDevice } from "./logical-space.ts";
import { replayLogs } from "./log-replay.ts";
import { itemData, keyAt, type NodePointer } from "./node.ts";
import { NodeReader } from "./node-reader.ts";
import { findStrayed } from "./strayed.ts";
import { checksumTreeId, Subvolumes } from "./subvolumes.ts";
import type { Superblock } from "./superblock.ts";
import { Tree } from "./tree.ts";

const rootTreeOwner = 1n;
const chunkTreeOwner = 3n;
const deviceObjectid = 1;
const chunkObjectid = 256;
/** So many of the missing devices are named. */
const maxNamedDevices = 8;

/**
 * Opens what the newest superblock describes over the devices at hand.
 * @param strayed superblocks of devices that are at hand, but describe something else; only told of
 * @throws MissingMember when another one holds what no copy or parity makes up for
 */
export async function openBtrfs(
  superblock: Superblock, members: readonly { readonly source: BlockSource; readonly superblock: Superblock }[], strayed: readonly Superblock[] = [],
): Promise<BtrfsFileSystem> {
  const devices = members.map(({ source, superblock: { deviceId: id, deviceUuid, generation } }) => {
    return { id, uuid: showUuid(deviceUuid), source, isStale: generation < superblock.generation };
  });
  const chunks = new ChunkMap();
  addSystemChunks(superblock, chunks);
  const space = new LogicalSpace(chunks, devices);
  const nodes = new NodeReader(space, superblock);
  const openWithout = async (others: ReadonlySet<unknown>): Promise<BtrfsFileSystem> => {
    const left = members.filter((_, index) => !others.has(devices[index]));
    return await openBtrfs(superblock, left, [...strayed, ...members.filter((member) => !left.includes(member)).map((member) => member.superblock)]);
  };
  const chunkRoot = { logical: superblock.chunkRootLogical, level: superblock.chunkRootLevel, generation: superblock.chunkRootGeneration, owner: chunkTreeOwner };
  const strayedChunks = await findStrayed(space, superblock, chunkRoot, devices);
  if (strayedChunks.size > 0) return await openWithout(strayedChunks);
  const known = await addChunkTree(chunkRoot, superblock, nodes, chunks);
  assertNoSeeds(superblock, known);
  const missing = known.filter(({ id, uuid }) => !space.isAtHand({ deviceId: id, deviceUuid: uuid }));
  assertComplete(space, missing);

  const root = { logical: superblock.rootLogical, level: superblock.rootLevel, generation: superblock.generation, owner: rootTreeOwner };
  const strayedRoots = await findStrayed(space, superblock, root, devices);
  if (strayedRoots.size > 0) return await openWithout(strayedRoots);
  const rootTree = new Tree(nodes, root);
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
    ...remarkOn(missing.filter(({ uuid }) => !strayed.some(({ deviceUuid }) => showUuid(deviceUuid) === uuid)), strayed, devices.filter(({ isStale }) => isStale)),
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

/** Returns the devices that the tree knows. */
async function addChunkTree(root: NodePointer, { sectorBytes }: Superblock, nodes: NodeReader, chunks: ChunkMap): Promise<DeviceItem[]> {
  const tree = new Tree(nodes, root);
  const devices: DeviceItem[] = [];
  for await (const items of tree.scan(makeKey(deviceObjectid, itemTypes.deviceItem, 0), makeKey(chunkObjectid, itemTypes.chunkItem, maxOffset))) {
    if (items instanceof DiskError) throw items;
    for (let index = items.start; index < items.end; index++) {
      const key = keyAt(items.leaf, index);
      const data = itemData(items.leaf, index);
      if (isOf(key, chunkObjectid, itemTypes.chunkItem)) chunks.add(parseChunk(data, 0, data.length, offsetOf(key), sectorBytes));
      else if (isOf(key, deviceObjectid, itemTypes.deviceItem)) devices.push(parseDeviceItem(data, offsetOf(key)));
    }
  }
  return devices;
}

/** Throws "unsupported" where parts of the trees are those of another filesystem, which this one grew out of. */
function assertNoSeeds({ metadataUuid }: Superblock, devices: readonly DeviceItem[]): void {
  const seed = devices.find(({ fsid }) => !fsid.equals(metadataUuid));
  if (seed !== undefined) throw unsupported(`btrfs seed device: device ${seed.id} (${seed.uuid}) is of the filesystem ${showUuid(seed.fsid)}`);
}

function assertComplete(space: LogicalSpace, missing: readonly DeviceItem[]): void {
  const chunk = space.chunks.all().find((one) => !isReadable(one, (stripe) => space.isAtHand(stripe)));
  if (chunk === undefined) return;
  if (missing.length > 1) throw new MissingMember(`btrfs over several devices: ${showDevices(missing)} are on none of the disks looked at, and the others don't make up for them`);
  const stripe = chunk.stripes.find((one) => !space.isAtHand(one))!;
  throw missingDevice(stripe.deviceId, stripe.deviceUuid);
}

function remarkOn(missing: readonly DeviceItem[], strayed: readonly Superblock[], behind: readonly Omit<DeviceItem, "fsid">[]): Pick<FileSystemFacts, "remark"> {
  const found: string[] = [];
  if (missing.length > 0) found.push(`read without ${showDevices(missing)}, on none of the disks looked at: copies or parity make up for that`);
  if (strayed.length > 0) {
    const devices = strayed.map(({ deviceId, deviceUuid }) => ({ id: deviceId, uuid: showUuid(deviceUuid) }));
    found.push(`${showDevices(devices)} went another way since, mounted without the others, and is not read`);
  }
  if (behind.length > 0) found.push(`${showDevices(behind)} missed the last commit or more: what only it holds, and without checksums, may be out of date`);
  return found.length === 0 ? {} : { remark: new MissingMember(found.join("; ")) };
}

function showDevices(devices: readonly Omit<DeviceItem, "fsid">[]): string {
  const named = devices.slice(0, maxNamedDevices).map(({ id, uuid }) => `device ${id} (${uuid})`).join(", ");
  return devices.length > maxNamedDevices ? `${named} and ${devices.length - maxNamedDevices} more` : named;
}

async function assertRootDirectory(subvolumes: Subvolumes, id: number): Promise<void> {
  const tree = await subvolumes.tree(id);
  const item = await tree.find(makeKey(rootInode, itemTypes.inodeItem, 0));
  const what = `btrfs root directory of tree ${id}`;
  if (item === undefined) throw corrupt(what, undefined, "it has no inode item");
  if (parseInode(id, rootInode, item.data).type !== "directory") throw corrupt(what, undefined, "it is no directory");
}
