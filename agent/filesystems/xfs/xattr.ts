import { corrupt, toDiskError, type DiskError } from "../../blocks/disk-error.ts";
import { byteStringToText, type ByteString } from "../byte-string.ts";
import { aclNames, toPosixAcl } from "./acl.ts";
import {
  attributeFlags, attributeMagics, parseAttributeLeaf, parseAttributeNode, readForward, readMagic, type RemoteValue, type StoredAttribute,
} from "./attribute-leaf.ts";
import { parseShortformAttributes } from "./attribute-shortform.ts";
import { findHeaderError, remoteValueHeader, treeHeader } from "./block-header.ts";
import type { Contents } from "./contents.ts";
import { forkFormats, type Fork, type Inode } from "./inode.ts";

/** XFS_DA_NODE_MAXDEPTH of Linux. */
const maxTreeDepth = 5;
/** Attributes that listing may name at all: XATTR_LIST_MAX of Linux is 64 KiB of names, and a name has 2 bytes at least. */
const maxLeaves = 65536;
const remoteMagic = 0x5841524d;
const remoteHeaderBytes = 56;

const namespaceMask = attributeFlags.root | attributeFlags.secure | attributeFlags.parent;

/** A change that the log left to be made: a value to set, or undefined to remove. */
export interface AttributeChange {
  /** ROOT and SECURE flags; 0: user. */
  readonly namespace: number;
  readonly name: ByteString;
  readonly value: Uint8Array | undefined;
}

export interface AttributeList {
  readonly xattrs: Map<ByteString, Uint8Array>;
  readonly error?: DiskError;
}

/** All extended attributes as Linux shows them to root; what can't be read is left out, with the first error beside. */
export async function readXattrs(contents: Contents, inode: Inode, changes: readonly AttributeChange[]): Promise<AttributeList> {
  const xattrs = new Map<ByteString, Uint8Array>();
  let firstError: DiskError | undefined;
  const note = (error: unknown): void => {
    firstError ??= toDiskError(error);
  };
  const { attributes: fork } = inode;
  const add = async (attributes: readonly StoredAttribute[]): Promise<void> => {
    for (const { flags, name, value } of attributes) {
      if ((flags & (attributeFlags.incomplete | attributeFlags.parent)) !== 0) continue;
      try {
        show(xattrs, flags, name, value instanceof Uint8Array ? value : await readRemoteValue(contents, inode, fork!, value));
      } catch (error) {
        note(error);
      }
    }
  };
  if (fork !== undefined) {
    if (fork.format === forkFormats.local) {
      const { attributes, error } = parseShortformAttributes(fork.bytes);
      await add(attributes);
      if (error !== undefined) note(corrupt(`XFS attributes of inode ${inode.number}`, inode.offsetBytes, error));
    } else if (fork.format !== forkFormats.extents || fork.extentCount > 0) {
      try {
        await readBlocks(contents, inode, fork, add, note);
      } catch (error) {
        note(error);
      }
    }
  }
  for (const { namespace, name, value } of changes) {
    if (value !== undefined) show(xattrs, namespace, name, value);
    else for (const shown of shownNames(namespace, name)) xattrs.delete(shown);
  }
  return firstError === undefined ? { xattrs } : { xattrs, error: firstError };
}

function show(xattrs: Map<ByteString, Uint8Array>, flags: number, name: ByteString, value: Uint8Array): void {
  for (const shown of shownNames(flags, name)) xattrs.set(shown, shown.startsWith("system.") ? toPosixAcl(value) : value);
}

/** Linux lists an ACL twice: as what it means, and to root as what is stored. */
function shownNames(flags: number, name: ByteString): ByteString[] {
  switch (flags & namespaceMask) {
    case 0: return [`user.${name}`];
    case attributeFlags.secure: return [`security.${name}`];
    case attributeFlags.root: {
      const acl = aclNames.get(name);
      return acl === undefined ? [`trusted.${name}`] : [`trusted.${name}`, acl];
    }
    default: throw corrupt("XFS attribute", undefined, `flags 0x${flags.toString(16)} of ${byteStringToText(name)}`);
  }
}

async function readBlocks(
  contents: Contents, inode: Inode, fork: Fork, add: (attributes: readonly StoredAttribute[]) => Promise<void>, note: (error: unknown) => void,
): Promise<void> {
  const { superblock } = contents;
  const { leaf: leafMagic, node: nodeMagic } = attributeMagics[superblock.version];
  const fail = (block: number, found: string) => corrupt(`XFS attribute block ${block} of inode ${inode.number}`, inode.offsetBytes, found);
  const read = async (block: number): Promise<Buffer> => {
    const [run] = await contents.mapWhole(inode, fork, block, 1);
    const data = await contents.readBlocks(inode, fork, block, 1);
    if (superblock.version === 5) {
      const found = findHeaderError(superblock, `XFS attribute block ${block} of inode ${inode.number}`, data, treeHeader, run!.offsetBytes, inode.number);
      if (found !== undefined) throw found;
    }
    return data;
  };

  let position = 0;
  let data = await read(position);
  let level: number | undefined;
  for (let depth = 0; readMagic(data) === nodeMagic; depth++) {
    if (depth === maxTreeDepth) throw fail(position, `deeper than ${maxTreeDepth} levels`);
    const node = parseAttributeNode(data, superblock.version);
    if (typeof node === "string") throw fail(position, node);
    if (level !== undefined && node.level !== level - 1) throw fail(position, `level ${node.level}, expected ${level - 1}`);
    level = node.level;
    position = node.firstChild;
    data = await read(position);
  }

  // The leaves form a chain; one that comes back to where it was would never end.
  const visited = new Set<number>();
  for (;;) {
    if (readMagic(data) !== leafMagic) throw fail(position, `magic 0x${readMagic(data).toString(16)}, expected 0x${leafMagic.toString(16)}`);
    visited.add(position);
    const { attributes, error } = parseAttributeLeaf(data, superblock.version);
    await add(attributes);
    if (error !== undefined) note(fail(position, error));
    const next = readForward(data);
    if (next === 0) return;
    if (visited.has(next) || visited.size === maxLeaves) throw fail(position, `the next leaf, ${next}, was read before`);
    position = next;
    data = await read(position);
  }
}

/** On version 5 every block of a value has a header of its own. */
async function readRemoteValue(contents: Contents, inode: Inode, fork: Fork, remote: RemoteValue): Promise<Uint8Array> {
  const { superblock } = contents;
  const size = superblock.blockSizeBytes;
  const headerBytes = superblock.version === 5 ? remoteHeaderBytes : 0;
  const perBlock = size - headerBytes;
  const value = Buffer.alloc(remote.length);
  const runs = await contents.mapWhole(inode, fork, remote.block, Math.ceil(remote.length / perBlock));
  let filled = 0;
  for (const run of runs) {
    const bytes = Buffer.from(await contents.source.read(run.offsetBytes, run.count * size));
    for (let start = 0; start < bytes.length && filled < remote.length; start += size) {
      const block = bytes.subarray(start, start + size);
      const length = Math.min(perBlock, remote.length - filled);
      if (headerBytes > 0) assertRemoteBlock(contents, inode, block, run.offsetBytes + start, filled, length);
      value.set(block.subarray(headerBytes, headerBytes + length), filled);
      filled += length;
    }
  }
  return Uint8Array.from(value);
}

function assertRemoteBlock(contents: Contents, inode: Inode, block: Buffer, offsetBytes: number, position: number, length: number): void {
  const structure = `XFS attribute value of inode ${inode.number}`;
  const fail = (found: string) => corrupt(structure, offsetBytes, found);
  const magic = block.readUInt32BE(0);
  if (magic !== remoteMagic) throw fail(`magic 0x${magic.toString(16)}, expected 0x5841524d`);
  const found = findHeaderError(contents.superblock, structure, block, remoteValueHeader, offsetBytes, inode.number);
  if (found !== undefined) throw found;
  if (block.readUInt32BE(4) !== position || block.readUInt32BE(8) !== length) {
    throw fail(`bytes ${block.readUInt32BE(4)} and ${block.readUInt32BE(8)} more, expected ${position} and ${length}`);
  }
}
