import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

export interface LoopOptions {
  /** In bytes. */
  offset?: number;
  /** In bytes. */
  sizelimit?: number;
  /** 512 or 4096. */
  sectorSize?: number;
  /** Lets the kernel scan the partition table: /dev/loopNpM. */
  partitions?: boolean;
  /** Default true: the image is never written. False lets the kernel replay a journal into it. */
  readOnly?: boolean;
}

export interface MountOptions extends LoopOptions {
  /** For mount -t; the kernel's guess when left out. */
  type?: string;
  /** For mount -o, after "ro" or "rw". */
  options?: string;
}

/** Attaches an image to a free loop device. The caller detaches it, whatever happens in between. */
export async function attachLoop(imagePath: string, options: LoopOptions = {}): Promise<string> {
  const args = ["--find", "--show"];
  if (options.readOnly ?? true) args.push("--read-only");
  if (options.partitions) args.push("--partscan");
  if (options.offset !== undefined) args.push("--offset", String(options.offset));
  if (options.sizelimit !== undefined) args.push("--sizelimit", String(options.sizelimit));
  if (options.sectorSize !== undefined) args.push("--sector-size", String(options.sectorSize));
  const { stdout } = await execa("losetup", [...args, imagePath]);
  return stdout.trim();
}

export async function detachLoop(device: string): Promise<void> {
  await execa("losetup", ["--detach", device]);
}

/** Runs `use` with the image on a loop device, and detaches it also after a failure. */
export async function withLoop<T>(imagePath: string, options: LoopOptions, use: (device: string) => Promise<T>): Promise<T> {
  const device = await attachLoop(imagePath, options);
  try {
    return await use(device);
  } finally {
    await detachLoop(device);
  }
}

/** Runs `use` with the image mounted by the kernel, read-only unless asked otherwise; always unmounts and detaches. */
export async function withLoopMount<T>(imagePath: string, options: MountOptions, use: (directory: string) => Promise<T>): Promise<T> {
  return await withLoop(imagePath, options, async (device) => {
    const directory = await mkdtemp(join(tmpdir(), "pluck-mount-"));
    try {
      const access = (options.readOnly ?? true) ? "ro" : "rw";
      const type = options.type === undefined ? [] : ["-t", options.type];
      await execa("mount", [...type, "-o", options.options ? `${access},${options.options}` : access, device, directory]);
      try {
        return await use(directory);
      } finally {
        await unmount(directory);
      }
    } finally {
      await rmdir(directory);
    }
  });
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
