import { mkdtemp, rm, rmdir, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { attachLoop, detachLoop } from "../tools/loop-mount.ts";

const defaultMegabytes = 256;

/** A device of a filesystem: a whole image, or a part of one. */
export type Place = string | { readonly path: string; readonly offset: number; readonly sizelimit: number };

/** Makes a filesystem over as many images as there are paths. */
export async function makeBtrfs(paths: readonly string[], args: readonly string[], megabytes = defaultMegabytes): Promise<void> {
  for (const path of paths) {
    await rm(path, { force: true });
    await writeFile(path, "");
    await truncate(path, megabytes * 1024 * 1024);
  }
  await execa("mkfs.btrfs", ["-q", "-f", ...args, ...paths]);
}

/** Makes a filesystem over these places. */
export async function formatBtrfs(places: readonly Place[], args: readonly string[]): Promise<void> {
  await withLoops(places, async (devices) => await execa("mkfs.btrfs", ["-q", "-f", ...args, ...devices]));
}

/** Runs `use` with the places mounted as one filesystem; unmounts, detaches, and lets the kernel forget the devices. */
export async function withBtrfsMount<T>(
  places: readonly Place[], options: { readonly readOnly?: boolean; readonly options?: string }, use: (directory: string, devices: readonly string[]) => Promise<T>,
): Promise<T> {
  return await withLoops(places, async (devices) => {
    const directory = await mkdtemp(join(tmpdir(), "pluck-mount-"));
    const access = (options.readOnly ?? true) ? "ro" : "rw";
    const flags = [access, ...devices.slice(1).map((device) => `device=${device}`), ...(options.options === undefined ? [] : [options.options])];
    try {
      await execa("mount", ["-t", "btrfs", "-o", flags.join(","), devices[0]!, directory]);
      try {
        const result = await use(directory, devices);
        await unmount(directory);
        return result;
      } catch (error) {
        // Files that were open when it failed keep the mount busy, but it must not outlive the test.
        await execa("umount", ["--lazy", directory], { reject: false });
        throw error;
      }
    } finally {
      await rmdir(directory);
    }
  });
}

/** Runs `use` with the places as loop devices; detaches them, and lets the kernel forget what it saw there. */
export async function withLoops<T>(places: readonly Place[], use: (devices: readonly string[]) => Promise<T>): Promise<T> {
  const devices: string[] = [];
  try {
    for (const place of places) {
      const { path, ...part } = typeof place === "string" ? { path: place } : place;
      devices.push(await attachLoop(path, { readOnly: false, ...part }));
    }
    return await use(devices);
  } finally {
    for (const device of devices) {
      await execa("btrfs", ["device", "scan", "--forget", device], { reject: false });
      await detachLoop(device);
    }
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
