import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { toErrorBody } from "../../shared/errors.ts";
import { toPlainPath } from "../../shared/repository-path.ts";
import { type CommandResult, maxScanFiles } from "../../shared/messages.ts";
import { inspectQcow2 } from "../export/inspect.ts";

type CheckedFile = CommandResult<"check">["files"][number];
type ScannedFile = CommandResult<"scan">["files"][number];

/** Files looked into at the same time; each opens its whole chain. */
const filesInFlight = 8;
/** Folders entered in one scan: some thousand machines with a handful of disks each. */
const maxFolders = 20_000;
const diskFolder = /^disk-(\d{1,3})$/;

/** Looks into files without opening them as disks; what is wrong with one says nothing of the others. */
export async function checkFiles(repositoryRoot: string, paths: readonly string[]): Promise<CommandResult<"check">> {
  return { files: await mapBounded(paths, (path) => checkFile(repositoryRoot, path)) };
}

async function checkFile(repositoryRoot: string, qcow2_path: string): Promise<CheckedFile> {
  try {
    const plain = toPlainPath(qcow2_path);
    const { virtualSizeBytes, chain } = await inspectQcow2({ repositoryRoot, path: plain });
    // A catalog that was adopted may spell out the whole path.
    const { mtime, size, blocks } = await stat(resolve(repositoryRoot, plain));
    return { ok: true, qcow2_path, size_bytes: virtualSizeBytes, stored_bytes: storedBytes(size, blocks), chain: [...chain], modified_at: mtime.toISOString() };
  } catch (error) {
    const { code, detail } = toErrorBody(error);
    return { ok: false, qcow2_path, error: { code, detail } };
  }
}

/**
 * What a file occupies: its blocks, for holes take up nothing and compressed ones less than they hold,
 * but no more than its length, for a filesystem may have set blocks aside beyond the end.
 */
function storedBytes(lengthBytes: number, blocks: number): number {
  return Math.min(lengthBytes, blocks * statBlockBytes);
}
/** st_blocks counts in these, whatever the filesystem's own block size. */
const statBlockBytes = 512;

/**
 * Finds the backups laid out as `<vm>/disk-<n>/<file>.qcow2`, in the order of their names. Symlinks are
 * passed over: they could lead out of the repository, or show one file twice.
 */
export async function scanRepository(repositoryRoot: string): Promise<CommandResult<"scan">> {
  const found: Pick<ScannedFile, "vm_name" | "disk_index" | "qcow2_path">[] = [];
  let folders = 0;
  let truncated = false;
  const full = () => {
    truncated ||= found.length > maxScanFiles || folders > maxFolders;
    return truncated;
  };
  // A root that can't be read is the caller's error; a folder inside it that can't is passed over.
  for (const vm of folderNames(await readdir(repositoryRoot, { withFileTypes: true }))) {
    if (full()) break;
    folders += 1;
    for (const disk of folderNames(await entriesOf(join(repositoryRoot, vm)))) {
      const match = diskFolder.exec(disk);
      if (match === null) continue;
      if (full()) break;
      folders += 1;
      const files = await entriesOf(join(repositoryRoot, vm, disk));
      for (const file of files.filter((entry) => entry.isFile() && entry.name.endsWith(".qcow2")).map((entry) => entry.name).sort()) {
        found.push({ vm_name: vm, disk_index: Number(match[1]), qcow2_path: `${vm}/${disk}/${file}` });
        if (full()) break;
      }
    }
  }
  return { files: await mapBounded(found.slice(0, maxScanFiles), (file) => scanFile(repositoryRoot, file)), truncated };
}

async function scanFile(repositoryRoot: string, file: Pick<ScannedFile, "vm_name" | "disk_index" | "qcow2_path">): Promise<ScannedFile> {
  const facts = await stat(join(repositoryRoot, file.qcow2_path)).catch(() => undefined);
  const modified_at = (facts?.mtime ?? new Date(0)).toISOString();
  const checked = await checkFile(repositoryRoot, file.qcow2_path);
  if (!checked.ok) return { ...file, size_bytes: 0, modified_at, chain: [], error: checked.error };
  const stored = checked.stored_bytes === undefined ? {} : { stored_bytes: checked.stored_bytes };
  return { ...file, size_bytes: checked.size_bytes, ...stored, modified_at, chain: checked.chain, error: null };
}

function folderNames(entries: readonly Dirent[]): string[] {
  return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map((entry) => entry.name).sort();
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch(() => []);
}

async function mapBounded<T, R>(values: readonly T[], work: (value: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(values.length);
  let next = 0;
  const worker = async () => {
    while (next < values.length) {
      const index = next++;
      results[index] = await work(values[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(filesInFlight, values.length) }, worker));
  return results;
}
