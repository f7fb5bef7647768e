import { mkdtemp, rm, rmdir, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { attachLoop, detachLoop } from "../tools/loop-mount.ts";

const defaultMegabytes = 256;

/** Makes a filesystem over as many images as there are paths. */
export async function makeBtrfs(paths: readonly string[], args: readonly string[], megabytes = defaultMegabytes): Promise<void> {
  for (const path of paths) {
    await rm(path, { force: true });
    await writeFile(path, "");
    await truncate(path, megabytes * 1024 * 1024);
  }
  await execa("mkfs.btrfs", ["-q", "-f", ...args, ...paths]);
}

/** Runs `use` with the images mounted as one filesystem; unmounts, detaches, and lets the kernel forget the devices. */
export async function withBtrfsMount<T>(
  paths: readonly string[], options: { readonly readOnly?: boolean; readonly options?: string }, use: (directory: string) => Promise<T>,
): Promise<T> {
  const devices: string[] = [];
  const directory = await mkdtemp(join(tmpdir(), "pluck-mount-"));
  try {
    for (const path of paths) devices.push(await attachLoop(path, { readOnly: false }));
    const access = (options.readOnly ?? true) ? "ro" : "rw";
    const flags = [access, ...devices.slice(1).map((device) => `device=${device}`), ...(options.options === undefined ? [] : [options.options])];
    await execa("mount", ["-t", "btrfs", "-o", flags.join(","), devices[0]!, directory]);
    try {
      const result = await use(directory);
      await unmount(directory);
      return result;
    } catch (error) {
      // Files that were open when it failed keep the mount busy, but it must not outlive the test.
      await execa("umount", ["--lazy", directory], { reject: false });
      throw error;
    }
  } finally {
    for (const device of devices) {
      await execa("btrfs", ["device", "scan", "--forget", device], { reject: false });
      await detachLoop(device);
    }
    await rmdir(directory);
  }
}

/** A mount stays busy for a moment after its last reader; tried for about two seconds. */
async function unmount(directory: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const result = await execa("umount", [directory], { reject: false });
    if (!result.failed) return;
    if (attempt === 10) throw new Error(`can't unmount ${directory}: ${result.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
