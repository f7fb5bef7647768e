import type { BigIntStats } from "node:fs";

/** What tells one state of a file from another without reading it. */
export interface FileState {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** When its bytes were last written; can be set back by whoever may write. */
  readonly modifiedNs: bigint;
  /** When anything about it last changed; the kernel alone sets it. */
  readonly changedNs: bigint;
  /** Names it has; 0: deleted, and alive only because it is open. */
  readonly links: bigint;
  /** Type and rights. */
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
}

export function toFileState(stats: BigIntStats): FileState {
  const { dev, ino, size, mtimeNs, ctimeNs, nlink, mode, uid, gid } = stats;
  return { device: dev, inode: ino, sizeBytes: size, modifiedNs: mtimeNs, changedNs: ctimeNs, links: nlink, mode, uid, gid };
}

/**
 * "attributes": something changed that left size and modification time alone. That is a new name, other
 * rights, an access time set by hand, or bytes written by a program that then set the time back.
 */
export type Difference = "none" | "attributes" | "data";

export function compareStates(before: FileState, now: FileState): Difference {
  if (before.device !== now.device || before.inode !== now.inode) return "data";
  if (before.sizeBytes !== now.sizeBytes || before.modifiedNs !== now.modifiedNs) return "data";
  return before.changedNs === now.changedNs && before.links === now.links ? "none" : "attributes";
}

/** True when names, rights or owner differ: what a file is called and who may use it, not what it holds. */
export function differInAttributes(before: FileState, now: FileState): boolean {
  return before.links !== now.links || before.mode !== now.mode || before.uid !== now.uid || before.gid !== now.gid;
}

/**
 * File times move in steps: the kernel stamps with its tick, 10 ms at most. A write within the tick of
 * an earlier one may leave no trace; twice the tick is safe.
 */
export const TIME_STEP_MS = 20;

/** True when a further write would surely show. Both clocks are this machine's. */
export function isSettled(state: FileState, nowMs: number): boolean {
  return Math.abs(nowMs - Number(state.changedNs / 1_000_000n)) > TIME_STEP_MS;
}
