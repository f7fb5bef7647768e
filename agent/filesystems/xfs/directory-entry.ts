import { corrupt, type DiskError } from "../../blocks/disk-error.ts";
import { toByteString } from "../byte-string.ts";
import type { DirectoryEntry, NodeType } from "../filesystem.ts";
import { findInodeOffset } from "./addresses.ts";
import type { Inode } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

/** The node of an entry that stands for damage. */
export const noInode = 0;

/** By ftype: unknown, regular, directory, character, block, fifo, socket, symlink, whiteout. */
const nodeTypes: readonly (NodeType | undefined)[] = [
  undefined, "file", "directory", "other", "other", "other", "other", "symlink", "other",
];

/** What the names of one directory need to be read. */
export interface DirectoryFormat {
  readonly superblock: Superblock;
  readonly directory: Inode;
}

/** An entry that stands for what a damaged part of a directory may have held. */
export function damagedBlock(position: number, error: DiskError): DirectoryEntry<number> {
  return { name: `#damaged-directory-block-${position}`, node: noInode, type: undefined, error };
}

export function isDot(data: Buffer, nameAt: number, nameLength: number): boolean {
  if (nameLength > 2 || nameLength === 0 || data[nameAt] !== 0x2e) return false;
  return nameLength === 1 || data[nameAt + 1] === 0x2e;
}

/** @param fileType as stored; undefined where the directory stores none */
export function toEntry(
  format: DirectoryFormat, data: Buffer, nameAt: number, nameLength: number, node: number, fileType: number | undefined,
  offsetBytes: number, blockError: DiskError | undefined,
): DirectoryEntry<number> {
  const { superblock, directory } = format;
  const type = fileType === undefined ? undefined : nodeTypes[fileType];
  const fail = (found: string) => corrupt(`XFS directory entry of inode ${directory.number}`, offsetBytes, found);
  const name = toByteString(data, nameAt, nameAt + nameLength);
  let error = blockError;
  if (findInodeOffset(superblock, node) === undefined) error ??= fail(`inode ${node}: the volume has no place for that number`);
  if (node === superblock.rootInode || node === directory.number) {
    error ??= fail(`inode ${node}, ${node === superblock.rootInode ? "the root directory" : "the directory itself"}`);
  }
  if (nameLength === 0 || name.includes("/") || name.includes("\0")) {
    error ??= fail(`name ${JSON.stringify(name)} is empty or holds a slash or NUL`);
    const shown = nameLength === 0 ? `#unnamed-inode-${node}` : name.replaceAll("/", "_").replaceAll("\0", "_");
    return { name: shown, node, type, error };
  }
  return error === undefined ? { name, node, type } : { name, node, type, error };
}
