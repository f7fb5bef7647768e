import { writeFile } from "node:fs/promises";
import { execa } from "execa";
import { isRoot } from "../tools/environment.ts";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[(sorted.length - 1) >> 1] ?? Number.NaN, sorted[middle] ?? Number.NaN];
  return (low + high) / 2;
}

/** Milliseconds that `run` took. */
export async function timed(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}

/** Nothing of these files is in memory afterwards: the whole page cache where root may drop it, else theirs. */
export async function coolDown(files: readonly string[]): Promise<void> {
  await execa("sync");
  if (isRoot() && (await writeFile("/proc/sys/vm/drop_caches", "3").then(() => true, () => false))) return;
  await coolDownFiles(files);
}

/** Only these files: what else a measurement needs (the programs that it starts) stays warm, as it is in service. */
export async function coolDownFiles(files: readonly string[]): Promise<void> {
  // posix_fadvise(DONTNEED) on the whole file.
  for (const file of files) await execa("dd", [`if=${file}`, "iflag=nocache", "count=0", "status=none"]);
}

export interface Bar {
  readonly what: string;
  readonly pluck: string;
  readonly peer: string;
  /** What is measured against the aim. */
  readonly ratio?: string;
  readonly aim: string;
  readonly isMet: boolean | undefined;
}

export function toTable(bars: readonly Bar[]): string {
  const rows = [
    ["what", "Pluck", "peer", "ratio", "aim", "stands"],
    ...bars.map((bar) => [bar.what, bar.pluck, bar.peer, bar.ratio ?? "", bar.aim, bar.isMet === undefined ? "not measured" : bar.aim === "" ? "" : bar.isMet ? "met" : "missed"]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...body.map(line)].join("\n");
}

export const ms = (value: number): string => (value < 10 ? `${value.toFixed(1)} ms` : value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);
export const mbPerS = (bytes: number, durationMs: number): string => `${Math.round(bytes / 1e3 / durationMs)} MB/s`;
export const times = (ratio: number): string => `${ratio.toFixed(2)} x`;
