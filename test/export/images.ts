import { mkdtemp, open, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { execa } from "execa";

/** Where tests put their images: memory where there is some, so that they measure us and not the disk. */
export async function makeFolder(): Promise<string> {
  return mkdtemp(path.join(os.tmpdir(), "pluck-export-"));
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

export async function qemuImg(cwd: string, ...args: string[]): Promise<string> {
  return (await execa("qemu-img", args, { cwd })).stdout;
}

/** Writes `mebibytes` of one byte value at a mebibyte of a qcow2 image. */
export async function fill(cwd: string, file: string, value: number, atMib: number, mebibytes = 1): Promise<void> {
  await execa("qemu-io", ["-f", "qcow2", "-c", `write -P ${value} ${atMib}M ${mebibytes}M`, file], { cwd });
}

export async function create(cwd: string, file: string, ...options: string[]): Promise<void> {
  await qemuImg(cwd, "create", "-q", "-f", "qcow2", ...options, file, ...(options.includes("-b") ? [] : ["16M"]));
}

export async function createOver(cwd: string, file: string, backing: string, format = "qcow2"): Promise<void> {
  await create(cwd, file, "-b", backing, "-F", format);
}

/** Overwrites bytes of a file in place. */
export async function patch(file: string | Buffer, offset: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, "r+");
  try {
    await handle.write(bytes, 0, bytes.length, offset);
  } finally {
    await handle.close();
  }
}

/**
 * Gives an image the backing file name, byte for byte and unchecked, with a stated format or (null) none.
 * The name goes to the end of the first cluster (64 KiB), the extensions after the version 3 header.
 */
export async function setBacking(file: string | Buffer, name: string | Buffer, format: string | null = "qcow2"): Promise<void> {
  const bytes = Buffer.from(name);
  const offset = 65_536 - 1024;
  const fields = Buffer.alloc(12);
  fields.writeBigUInt64BE(BigInt(offset));
  fields.writeUInt32BE(bytes.length, 8);
  await patch(file, 8, fields);
  await patch(file, offset, bytes);
  const handle = await open(file, "r");
  const header = Buffer.alloc(104);
  await handle.read(header, 0, 104, 0);
  await handle.close();
  const extension = Buffer.alloc(format === null ? 8 : 24 + 8);
  if (format !== null) {
    extension.writeUInt32BE(0xe2792aca);
    extension.writeUInt32BE(format.length, 4);
    extension.write(format, 8, "latin1");
  }
  await patch(file, header.readUInt32BE(100), extension);
}
