import { open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { runTool } from "./run-tool.ts";

/** What qemu-img gives a qcow2 file without being told. */
const clusterSizeBytes = 64 * 1024;

export async function rawToQcow2(rawFile: string, qcow2File: string, options: { readonly compressed?: boolean } = {}): Promise<void> {
  await runTool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", ...(options.compressed === true ? ["-c"] : []), rawFile, qcow2File]);
}

/**
 * Makes `deltaFile`, a qcow2 over `baseFile` (which lies in the same folder and reads like
 * `rawBefore`), that holds those clusters in which `rawAfter` differs, and no others.
 */
export async function writeDelta(rawBefore: string, rawAfter: string, baseFile: string, deltaFile: string): Promise<void> {
  if (dirname(baseFile) !== dirname(deltaFile)) throw new RangeError("an incremental backup names its base without a folder");
  await runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", join(dirname(baseFile), basename(baseFile)), deltaFile]);
  const commands: string[] = [];
  for (const { offset, length } of await changedClusters(rawBefore, rawAfter)) {
    const pieceName = `${basename(deltaFile)}.${offset}`;
    await copyRange(rawAfter, offset, length, join(dirname(deltaFile), pieceName));
    // Without its folder: qemu-io knows no quotes, and a path may have spaces.
    commands.push(`write -q -s ${pieceName} ${offset} ${length}`);
  }
  // Commands on stdin: an argument list has a limit.
  await runTool("qemu-io", ["-f", "qcow2", deltaFile], { input: `${commands.join("\n")}\nflush\n`, folder: dirname(deltaFile) });
  await runTool("qemu-img", ["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", basename(baseFile), deltaFile]);
}

interface Range {
  readonly offset: number;
  readonly length: number;
}

async function changedClusters(rawBefore: string, rawAfter: string): Promise<Range[]> {
  const [before, after] = [await open(rawBefore), await open(rawAfter)];
  try {
    const { size } = await after.stat();
    const mapped = [...(await dataClusters(rawBefore)), ...(await dataClusters(rawAfter))];
    const changed: Range[] = [];
    const [left, right] = [Buffer.alloc(clusterSizeBytes), Buffer.alloc(clusterSizeBytes)];
    for (const cluster of [...new Set(mapped)].sort((a, b) => a - b)) {
      const offset = cluster * clusterSizeBytes;
      const length = Math.min(clusterSizeBytes, size - offset);
      await before.read(left, 0, length, offset);
      await after.read(right, 0, length, offset);
      if (left.compare(right, 0, length, 0, length) === 0) continue;
      const last = changed.at(-1);
      if (last !== undefined && last.offset + last.length === offset) changed[changed.length - 1] = { offset: last.offset, length: last.length + length };
      else changed.push({ offset, length });
    }
    return changed;
  } finally {
    await before.close();
    await after.close();
  }
}

/** The numbers of all clusters that aren't a hole in the raw file. */
async function dataClusters(rawFile: string): Promise<number[]> {
  const { stdout } = await runTool("qemu-img", ["map", "-f", "raw", "--output=json", rawFile]);
  const parts = JSON.parse(stdout) as { start: number; length: number; data: boolean }[];
  return parts
    .filter(({ data }) => data)
    .flatMap(({ start, length }) => {
      const first = Math.floor(start / clusterSizeBytes);
      const end = Math.ceil((start + length) / clusterSizeBytes);
      return Array.from({ length: end - first }, (_, index) => first + index);
    });
}

async function copyRange(from: string, offset: number, length: number, to: string): Promise<void> {
  const [source, target] = [await open(from), await open(to, "w")];
  try {
    const bytes = Buffer.alloc(length);
    await source.read(bytes, 0, length, offset);
    await target.write(bytes, 0, length, 0);
  } finally {
    await source.close();
    await target.close();
  }
}
