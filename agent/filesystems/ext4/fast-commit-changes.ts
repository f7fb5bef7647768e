import type { NodeType } from "../filesystem.ts";

/** Extents of a file in ascending order; `physical` is -1 for an unwritten one. */
export interface ExtentList {
  readonly logical: Uint32Array;
  readonly length: Uint32Array;
  readonly physical: Float64Array;
}

export interface DirectoryChange {
  /** Made by the fast commit: what the disk has under its inode is older and means nothing. */
  created: boolean;
  readonly removed: Set<string>;
  readonly added: Map<string, { readonly inode: number; readonly type: NodeType | undefined }>;
}

/**
 * What fast commits changed, beside the blocks of the journal proper. Linux writes these changes
 * into inode tables, extent trees and directories; a reader only has to look here first.
 */
export interface FastCommitChanges {
  /** Whole inodes, s_inode_size bytes each. */
  readonly inodes: Map<number, Buffer>;
  readonly extents: Map<number, ExtentList>;
  readonly directories: Map<number, DirectoryChange>;
}

export function noChanges(): FastCommitChanges {
  return { inodes: new Map(), extents: new Map(), directories: new Map() };
}
