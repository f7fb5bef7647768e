/** Physical block of a run that reads as zeros: never written, or allocated and unwritten. */
export const hole = -1;

/** Logical blocks [logical, logical + count) of a file and where they lie: at `physical` and on, or nowhere (hole). */
export interface BlockRun {
  readonly logical: number;
  count: number;
  readonly physical: number;
}

/** Appends a run, as part of the last one where it continues that. */
export function pushRun(runs: BlockRun[], logical: number, count: number, physical: number): void {
  const last = runs.at(-1);
  if (last !== undefined && (physical === hole ? last.physical === hole : last.physical !== hole && last.physical + last.count === physical)) {
    last.count += count;
  } else {
    runs.push({ logical, count, physical });
  }
}
