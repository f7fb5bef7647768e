import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError } from "../../blocks/disk-error.ts";
import type { FileSystem, FileSystemDriver, FileSystemFacts } from "../filesystem.ts";
import { DirectoryReader, type Naming } from "./directory-reader.ts";
import { IsoFileSystem } from "./filesystem.ts";
import type { DirectoryNode } from "./node.ts";
import { readRecords } from "./record-stream.ts";
import { RockRidge } from "./rock-ridge.ts";
import { readSystemUse } from "./system-use.ts";
import {
  descriptorType, END_DESCRIPTOR_SECTOR, FIRST_DESCRIPTOR_SECTOR, isJoliet, isUdfDescriptor, parseVolumeDescriptor, SECTOR_BYTES, toLabel, type VolumeDescriptor,
} from "./volume-descriptor.ts";

/** CD-ROM XA keeps 14 bytes of its own before Rock Ridge's entries. */
const XA_BYTES = 14;
/** UDF's marks stand right behind ISO 9660's descriptors. */
const UDF_SEARCH_SECTORS = 16;

/** ISO 9660 with Rock Ridge, Joliet and zisofs. */
export const iso9660: FileSystemDriver = {
  name: "iso9660",

  /** A disk that is UDF as well is left to UDF, as Linux does: its ISO 9660 side often holds only a note that says so. */
  async probe(source: BlockSource): Promise<boolean> {
    const start = FIRST_DESCRIPTOR_SECTOR * SECTOR_BYTES;
    if (source.sizeBytes < start + SECTOR_BYTES) return false;
    const bytes = await source.read(start, Math.min(UDF_SEARCH_SECTORS * SECTOR_BYTES, source.sizeBytes - start));
    if (descriptorType(bytes) === undefined) return false;
    for (let at = 0; at + SECTOR_BYTES <= bytes.length; at += SECTOR_BYTES) {
      if (isUdfDescriptor(bytes.subarray(at, at + SECTOR_BYTES))) return false;
    }
    return true;
  },

  async open(source: BlockSource): Promise<FileSystem> {
    const { primary, joliet } = await readDescriptors(source);
    const first = primary ?? joliet;
    if (first === undefined) throw corrupt("ISO 9660", FIRST_DESCRIPTOR_SECTOR * SECTOR_BYTES, "no primary volume descriptor");
    const chosen = await chooseTree(source, primary, joliet, first);
    const reader = new DirectoryReader(source, chosen.naming);
    const [root] = await reader.open([chosen.root]);
    if (root instanceof DiskError) throw root;
    return new IsoFileSystem(source, toFacts(first, joliet), chosen.root, reader, chosen.naming.isJoliet) as FileSystem;
  },
};

/** As Linux: up to Joliet's, the last, or the first that can't be read. */
async function readDescriptors(source: BlockSource): Promise<{ primary: VolumeDescriptor | undefined; joliet: VolumeDescriptor | undefined }> {
  let primary: VolumeDescriptor | undefined;
  for (let number = FIRST_DESCRIPTOR_SECTOR; number < END_DESCRIPTOR_SECTOR; number += 1) {
    const offset = number * SECTOR_BYTES;
    if (offset + SECTOR_BYTES > source.sizeBytes) break;
    const sector = await source.read(offset, SECTOR_BYTES);
    const type = descriptorType(sector);
    if (type === "last") break;
    if (type === "primary") primary ??= parseVolumeDescriptor(sector, offset);
    if (type === "supplementary" && isJoliet(sector)) return { primary, joliet: parseVolumeDescriptor(sector, offset) };
  }
  return { primary, joliet: undefined };
}

interface Tree {
  readonly root: DirectoryNode;
  readonly naming: Naming;
}

/** Rock Ridge wins over Joliet, unless its root is empty or can't be read. */
async function chooseTree(source: BlockSource, primary: VolumeDescriptor | undefined, joliet: VolumeDescriptor | undefined, first: VolumeDescriptor): Promise<Tree> {
  const { blockBytes } = first;
  const plain = { blockBytes, rockSkipBytes: undefined, isRockAnnounced: false, isJoliet: false };
  const jolietTree = joliet === undefined ? undefined : { root: rootOf(joliet), naming: { ...plain, blockBytes: joliet.blockBytes, isJoliet: true } };
  if (primary === undefined) return jolietTree!;
  const root = rootOf(primary);
  const [own] = await new DirectoryReader(source, plain).open([root]);
  if (own instanceof DiskError) {
    if (jolietTree === undefined || own.code === "io_error") throw own;
    return jolietTree;
  }
  const announced = await findRockRidge(source, blockBytes, own!.record.systemUse, own!.record.offsetBytes);
  if (jolietTree !== undefined && (announced === undefined || (await isEmpty(source, own!.record.firstBlock * blockBytes, own!.record.sizeBytes)))) return jolietTree;
  return { root, naming: { ...plain, rockSkipBytes: announced ?? 0, isRockAnnounced: announced !== undefined } };
}

function rootOf(descriptor: VolumeDescriptor): DirectoryNode {
  return { kind: "directory", id: descriptor.rootBlock * descriptor.blockBytes };
}

/** How many bytes come before Rock Ridge's entries in every system use area; undefined where the root doesn't announce it. */
async function findRockRidge(source: BlockSource, blockBytes: number, area: Uint8Array, offsetBytes: number): Promise<number | undefined> {
  for (const skip of [0, XA_BYTES]) {
    const rock = new RockRidge();
    const list = { visit: rock.visit, area: area.subarray(skip), offsetBytes, damage: undefined as DiskError | undefined };
    await readSystemUse(source, blockBytes, [list]);
    if (list.damage?.code === "io_error") throw list.damage;
    if (rock.hasExtension) return rock.skipBytes ?? skip;
  }
  return undefined;
}

/** True when the root holds nothing but itself and its parent. */
async function isEmpty(source: BlockSource, offset: number, sizeBytes: number): Promise<boolean> {
  for await (const records of readRecords(source, offset, Math.min(sizeBytes, SECTOR_BYTES))) {
    for (const record of records) if ("error" in record && record.error.code === "io_error") throw record.error;
    if (records.length > 2) return false;
  }
  return true;
}

function toFacts(first: VolumeDescriptor, joliet: VolumeDescriptor | undefined): FileSystemFacts {
  const sizeBytes = first.blockCount * first.blockBytes;
  return {
    type: "iso9660",
    label: toLabel(first.identifier, joliet?.identifier),
    uuid: first.uuid,
    sizeBytes,
    usedBytes: sizeBytes,
    blockSizeBytes: first.blockBytes,
    state: "clean",
  };
}
