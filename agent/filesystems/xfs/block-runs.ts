import { hole } from "./extent-record.ts";

/** Blocks of a fork that lie one after the other: logical blocks [logical, logical + count). */
export interface BlockRun {
  logical: number;
  count: number;
  /** First byte in the volume, or `hole`: these read as zeros. */
  offsetBytes: number;
}

/** Appends a run, or lengthens the last one where it continues it. */
export function pushRun(runs: BlockRun[], run: BlockRun, blockSizeBytes: number): void {
  const last = runs.at(-1);
  if (last !== undefined && last.logical + last.count === run.logical) {
    const continues = run.offsetBytes === hole ? last.offsetBytes === hole : last.offsetBytes !== hole && last.offsetBytes + last.count * blockSizeBytes === run.offsetBytes;
    if (continues) {
      last.count += run.count;
      return;
    }
  }
  runs.push(run);
}

/** A part of a fork that was mapped anew: to `offsetBytes` and on, or to a hole. */
export type RemappedRun = Readonly<BlockRun>;

/** The runs with later mappings laid over them, the last on top. */
export function remap(runs: readonly BlockRun[], changes: readonly RemappedRun[], blockSizeBytes: number): BlockRun[] {
  let current = runs;
  for (const change of changes) {
    const changed: BlockRun[] = [];
    const changeEnd = change.logical + change.count;
    for (const run of current) {
      const runEnd = run.logical + run.count;
      const from = Math.max(run.logical, change.logical);
      const until = Math.min(runEnd, changeEnd);
      if (from >= until) {
        pushRun(changed, { ...run }, blockSizeBytes);
        continue;
      }
      if (from > run.logical) pushRun(changed, part(run, run.logical, from, blockSizeBytes), blockSizeBytes);
      pushRun(changed, part(change, from, until, blockSizeBytes), blockSizeBytes);
      if (until < runEnd) pushRun(changed, part(run, until, runEnd, blockSizeBytes), blockSizeBytes);
    }
    current = changed;
  }
  return [...current];
}

function part(run: RemappedRun, from: number, until: number, blockSizeBytes: number): BlockRun {
  const offsetBytes = run.offsetBytes === hole ? hole : run.offsetBytes + (from - run.logical) * blockSizeBytes;
  return { logical: from, count: until - from, offsetBytes };
}
