import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { diskPath, pgtestDataSizeBytes, pgtestFull, pgtestIncremental, pgtestRootSizeBytes, webFull, webSizeBytes } from "./catalog.ts";
import { applyChanges, dataChanges, rootChanges } from "./changes.ts";
import { makeExt4, type Ext4Place } from "./ext4-image.ts";
import { espFiles, fullBackupAtMs, pgtestData, pgtestRoot, webRoot } from "./guests.ts";
import { rawToQcow2, writeDelta } from "./qcow2-delta.ts";
import { runTool } from "./run-tool.ts";

const MIB = 1024 * 1024;
const SECTOR = 512;
const scratchSuffix = ".building-";

/**
 * Builds the demo repository in `folder`, unless it is there. Nothing is mounted and no privilege
 * is used. It appears under its name only when it is whole: a build that was cut off leaves a
 * folder beside it, which the next one removes.
 * @returns whether it was built now
 */
export async function buildDemoRepository(folder: string): Promise<boolean> {
  await removeLeftovers(folder);
  if (await exists(folder)) return false;
  const scratch = await mkdtemp(`${folder}${scratchSuffix}`);
  try {
    const repository = join(scratch, "repository");
    // All settled before the scratch folder goes: none may write into what is being removed.
    const builds = await Promise.allSettled([buildRootDisk(repository, scratch), buildDataDisk(repository, scratch), buildWebDisk(repository, scratch)]);
    const failed = builds.find((build) => build.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    await rename(repository, folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return true;
}

async function buildRootDisk(repository: string, parentScratch: string): Promise<void> {
  const scratch = await mkdtemp(join(parentScratch, "root-"));
  const rawFile = await makeRawFile(join(scratch, "disk.raw"), pgtestRootSizeBytes);
  const esp = { offsetBytes: 1 * MIB, sizeBytes: 256 * MIB };
  const root: Ext4Place = { rawFile, offsetBytes: 257 * MIB, sizeBytes: pgtestRootSizeBytes - 258 * MIB };
  await runTool("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", rawFile], {
    input: [
      "label: gpt",
      "label-id: 0B1E7C54-6D0F-4E0D-9B55-8C11B3B7F2A4",
      `start=${esp.offsetBytes / SECTOR}, size=${esp.sizeBytes / SECTOR}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=5A5F1D3B-17C2-4F7B-A2EE-0C5A8B5C6E01, name="EFI System"`,
      `start=${root.offsetBytes / SECTOR}, size=${root.sizeBytes / SECTOR}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D2C7A0F6-2E0B-4E55-9B1C-7F3C36A51E02, name="root"`,
      "",
    ].join("\n"),
  });
  await makeEsp(rawFile, esp, scratch);
  await makeExt4(root, pgtestRoot(), { label: "root", uuid: "6a1d4c3e-90b7-4b0e-8d4e-0c2f6b7f5a10", madeAtMs: fullBackupAtMs }, scratch);
  await backUpTwice(repository, 0, root, async () => await applyChanges(root, rootChanges(), scratch), scratch);
  await rm(scratch, { recursive: true });
}

async function buildDataDisk(repository: string, parentScratch: string): Promise<void> {
  const scratch = await mkdtemp(join(parentScratch, "data-"));
  const data: Ext4Place = { rawFile: await makeRawFile(join(scratch, "disk.raw"), pgtestDataSizeBytes), offsetBytes: 0, sizeBytes: pgtestDataSizeBytes };
  await makeExt4(data, pgtestData(), { label: "pgdata", uuid: "c81f6a77-3d1e-4a52-b7d6-41c0a7e2f9d3", madeAtMs: fullBackupAtMs }, scratch);
  await backUpTwice(repository, 1, data, async () => await applyChanges(data, dataChanges(), scratch), scratch);
  await rm(scratch, { recursive: true });
}

async function buildWebDisk(repository: string, parentScratch: string): Promise<void> {
  const scratch = await mkdtemp(join(parentScratch, "web-"));
  const rawFile = await makeRawFile(join(scratch, "disk.raw"), webSizeBytes);
  const swapBytes = 1024 * MIB;
  const root: Ext4Place = { rawFile, offsetBytes: 1 * MIB, sizeBytes: webSizeBytes - swapBytes - 1 * MIB };
  await runTool("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", rawFile], {
    input: ["label: dos", "label-id: 0x5c0ffee1", `start=${root.offsetBytes / SECTOR}, size=${root.sizeBytes / SECTOR}, type=83, bootable`, "type=82", ""].join("\n"),
  });
  await makeExt4(root, webRoot(), { label: "web01-root", uuid: "94f1d0b2-5b3c-4c27-8f6e-2d9a7be41c55", madeAtMs: fullBackupAtMs }, scratch);
  const qcow2File = join(repository, diskPath(webFull, 0));
  await mkdir(dirname(qcow2File), { recursive: true });
  await rawToQcow2(rawFile, qcow2File, { compressed: true });
  await rm(scratch, { recursive: true });
}

/** A full backup of the disk as it is, then one of what `change` changes. */
async function backUpTwice(repository: string, diskIndex: number, place: Ext4Place, change: () => Promise<void>, scratch: string): Promise<void> {
  const full = join(repository, diskPath(pgtestFull, diskIndex));
  const incremental = join(repository, diskPath(pgtestIncremental, diskIndex));
  await mkdir(dirname(full), { recursive: true });
  await rawToQcow2(place.rawFile, full);
  const before = join(scratch, "before.raw");
  await runTool("cp", ["--sparse=always", "--reflink=auto", place.rawFile, before]);
  await change();
  const delta = join(scratch, basename(incremental));
  const base = join(scratch, basename(full));
  await copyFile(full, base);
  await writeDelta(before, place.rawFile, base, delta);
  await rename(delta, incremental);
}

async function makeEsp(rawFile: string, place: { readonly offsetBytes: number; readonly sizeBytes: number }, scratch: string): Promise<void> {
  const image = await makeRawFile(join(scratch, "esp.raw"), place.sizeBytes);
  await runTool("mkfs.vfat", ["-F", "32", "-n", "EFI", "-i", "4E1B7A02", "-h", String(place.offsetBytes / SECTOR), image]);
  const made = new Set<string>();
  for (const [path, bytes] of espFiles()) {
    const names = path.split("/");
    for (let depth = 1; depth < names.length; depth += 1) {
      const folder = names.slice(0, depth).join("/");
      if (!made.has(folder)) await runTool("mmd", ["-i", image, `::${folder}`]);
      made.add(folder);
    }
    const file = join(scratch, "esp-file");
    await writeFile(file, bytes);
    await runTool("mcopy", ["-i", image, file, `::${path}`]);
  }
  const blockBytes = 64 * 1024;
  await runTool("dd", ["status=none", "conv=notrunc,sparse", `bs=${blockBytes}`, `seek=${place.offsetBytes / blockBytes}`, `if=${image}`, `of=${rawFile}`]);
}

async function makeRawFile(file: string, sizeBytes: number): Promise<string> {
  await writeFile(file, "");
  await truncate(file, sizeBytes);
  return file;
}

async function removeLeftovers(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const prefix = `${basename(folder)}${scratchSuffix}`;
  for (const name of await readdir(dirname(folder))) {
    if (!name.startsWith(prefix)) continue;
    // A tool of the build that was cut off may still be writing for a moment.
    await rm(join(dirname(folder), name), { recursive: true, force: true, maxRetries: 10 });
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
