import { createHash } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { PluckError } from "../../shared/errors.ts";
import { openExport } from "../export/export.ts";
import { openFileSource } from "../export/file-source.ts";
import { openNbd } from "../nbd/nbd-source.ts";
import { openDisk, type OpenDisk } from "../reader/disk.ts";

/** A disk image opened without a server, and how to let go of it. */
export interface OpenImage {
  readonly disk: OpenDisk;
  close(): Promise<void>;
}

/**
 * Opens a local image: a qcow2 with its chain through qemu-nbd, any other file as raw bytes.
 * @param root what the chain may not leave; default the image's own folder
 */
export async function openImage(path: string, root: string | undefined): Promise<OpenImage> {
  const diskId = createHash("sha256").update(resolve(path)).digest("base64url");
  if (!(await isQcow2(path))) {
    const source = await openFileSource(path);
    const disk = await openDisk(source, { diskId });
    return { disk, close: async () => void (await Promise.all([disk.close(), source.close()])) };
  }
  const repositoryRoot = resolve(root ?? dirname(path));
  const name = root === undefined ? basename(path) : relative(repositoryRoot, resolve(path));
  const runDir = await mkdtemp(join(tmpdir(), "pluck-inspect-"));
  const closers: (() => Promise<void>)[] = [() => rm(runDir, { recursive: true, force: true })];
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer();
  };
  try {
    const exported = await openExport({ repositoryRoot, path: name, runDir });
    closers.push(() => exported.close());
    const source = await openNbd({ socketPath: exported.socketPath });
    closers.push(() => source.close());
    const disk = await openDisk(source, { diskId });
    closers.push(() => disk.close());
    return { disk, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const qcow2Magic = Buffer.from("QFI\xfb", "latin1");

async function isQcow2(path: string): Promise<boolean> {
  try {
    const file = await open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return bytesRead === 4 && buffer.equals(qcow2Magic);
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") throw new PluckError("not_found", `${path} does not exist.`);
    throw new PluckError("io_error", `${path} can't be opened: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
