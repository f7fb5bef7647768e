import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { access, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { NbdSource } from "../../agent/nbd/nbd-source.ts";
import { openNbd } from "../../agent/nbd/nbd-source.ts";

const MIB = 1 << 20;
let folder: string;
let raw: Buffer;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "pluck-nbd-"));
  // Data, holes of several sizes, and zeros that are stored as such.
  raw = Buffer.alloc(48 * MIB);
  randomBytes(5 * MIB).copy(raw, 3 * MIB);
  randomBytes(70_000).copy(raw, 20 * MIB + 300);
  randomBytes(MIB).copy(raw, 47 * MIB);
  const handle = await open(path.join(folder, "disk.raw"), "w");
  for (const [at, end] of [[3, 8], [20, 21], [30, 32], [47, 48]] as const) {
    await handle.write(raw.subarray(at * MIB, end * MIB), 0, (end - at) * MIB, at * MIB);
  }
  await handle.truncate(raw.length);
  await handle.close();
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"], { cwd: folder });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a server until the end of the test and connects to it once its socket is there. */
async function serve(program: string, args: (socket: string) => string[]): Promise<string> {
  const socketPath = path.join(folder, `${randomBytes(4).toString("hex")}.sock`);
  const child = spawn(program, args(socketPath), { stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  cleanups.push(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  for (let tries = 0; tries < 500; tries += 1) {
    if (await access(socketPath).then(() => true, () => false)) return socketPath;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${program} made no socket`);
}

async function connect(socketPath: string, options: { stallTimeoutMs?: number } = {}): Promise<NbdSource> {
  const source = await openNbd({ socketPath, ...options });
  cleanups.push(() => source.close());
  return source;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Reads of many sizes and places at once, and the whole disk: all as in the raw file. */
async function expectSameBytes(source: NbdSource): Promise<void> {
  expect(source.sizeBytes).toBe(raw.length);
  const reads = Array.from({ length: 200 }, (_, index) => {
    const length = 1 + ((index * 7919) % 150_000);
    const offset = (index * 251_287) % (raw.length - length);
    return { offset, length };
  });
  await Promise.all(
    reads.map(async ({ offset, length }) => {
      const bytes = Buffer.from(await source.read(offset, length));
      expect(bytes.equals(raw.subarray(offset, offset + length))).toBe(true);
    }),
  );
  const target = Buffer.alloc(raw.length, 0xee);
  await source.readInto(0, target);
  expect(sha256(target)).toBe(sha256(raw));
}

describe("qemu-nbd", () => {
  const serveQcow2 = (...more: string[]) =>
    serve("qemu-nbd", (socket) => ["-r", "-t", "-e", "4", "-k", socket, "-f", "qcow2", ...more, path.join(folder, "disk.qcow2")]);

  test("reads are the disk's bytes", async () => {
    await expectSameBytes(await connect(await serveQcow2()));
  });

  test("extents are those of qemu-img map", async () => {
    const source = await connect(await serveQcow2());
    expect(source.knowsHoles).toBe(true);
    const { stdout } = await execa("qemu-img", ["map", "--output=json", "-f", "qcow2", path.join(folder, "disk.qcow2")]);
    const joined: { offset: number; length: number; hole: boolean }[] = [];
    for (const { start, length, zero } of JSON.parse(stdout) as { start: number; length: number; zero: boolean }[]) {
      const last = joined.at(-1);
      if (last?.hole === zero) last.length += length;
      else joined.push({ offset: start, length, hole: zero });
    }
    const found: typeof joined = [];
    for (let at = 0; at < source.sizeBytes; ) {
      const extents = await source.extents(at, source.sizeBytes - at);
      for (const extent of extents) {
        expect(extent.offset).toBe(at);
        at += extent.length;
        const last = found.at(-1);
        if (last?.hole === extent.hole) last.length += extent.length;
        else found.push({ ...extent });
      }
    }
    expect(found).toEqual(joined);
  });

  test("an export name that is not served is io_error, in the server's words", async () => {
    const socketPath = await serveQcow2("-x", "named");
    await expect(openNbd({ socketPath, exportName: "other" })).rejects.toMatchObject({
      code: "io_error",
      message: expect.stringMatching(/"other".*unknown export/),
    });
    const source = await openNbd({ socketPath, exportName: "named" });
    expect(source.sizeBytes).toBe(raw.length);
    await source.close();
  });
});

const hasNbdkit = await execa("nbdkit", ["--version"]).then(() => true, () => false);

describe.skipIf(!hasNbdkit)("nbdkit (passed over where it is not installed)", () => {
  const serveRaw = (filters: string[], settings: string[], flags: string[] = []) =>
    serve("nbdkit", (socket) => [
      "--foreground",
      "--readonly",
      ...flags,
      "--unix",
      socket,
      ...filters.map((filter) => `--filter=${filter}`),
      "file",
      path.join(folder, "disk.raw"),
      ...settings,
    ]);

  test("reads are the disk's bytes", async () => {
    await expectSameBytes(await connect(await serveRaw([], [])));
  });

  test("reads are the disk's bytes without structured replies", async () => {
    const source = await connect(await serveRaw([], [], ["--no-sr"]));
    expect(source.knowsHoles).toBe(false);
    await expectSameBytes(source);
  });

  test("answers out of order find their readers", async () => {
    await expectSameBytes(await connect(await serveRaw(["delay"], ["delay-read=3ms"], ["--threads=8"])));
  });

  test("a server with large blocks is asked for whole ones", async () => {
    const settings = ["blocksize-minimum=4096", "blocksize-preferred=4096", "blocksize-maximum=65536", "blocksize-error-policy=error"];
    await expectSameBytes(await connect(await serveRaw(["blocksize-policy"], settings)));
  });

  test("each failing read fails alone and says what the server said", async () => {
    const trigger = path.join(folder, "trigger");
    const source = await connect(await serveRaw(["error"], ["error-pread=EIO", "error-pread-rate=100%", `error-file=${trigger}`]));
    await source.read(0, 512);
    await writeFile(trigger, "");
    cleanups.push(() => rm(trigger, { force: true }));
    await expect(source.read(0, 512)).rejects.toMatchObject({ code: "io_error", message: expect.stringMatching(/EIO/) });
    await expect(source.readInto(0, Buffer.alloc(5 * MIB))).rejects.toMatchObject({ code: "io_error" });
    await rm(trigger);
    expect(Buffer.from(await source.read(3 * MIB, 5000)).equals(raw.subarray(3 * MIB, 3 * MIB + 5000))).toBe(true);
  });

  test("reads that fail now and then fail with io_error, all others are right", async () => {
    const source = await connect(await serveRaw(["error"], ["error-pread=EIO", "error-pread-rate=30%"]));
    let failed = 0;
    const reads = Array.from({ length: 300 }, async (_, index) => {
      const offset = (index * 123_457) % (raw.length - 4096);
      try {
        const bytes = Buffer.from(await source.read(offset, 4096));
        expect(bytes.equals(raw.subarray(offset, offset + 4096))).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "io_error" });
        failed += 1;
      }
    });
    await Promise.all(reads);
    expect(failed).toBeGreaterThan(30);
    expect(failed).toBeLessThan(200);
  });

  test("extents: holes are zeros", async () => {
    const source = await connect(await serveRaw([], []));
    let holes = 0;
    for (let at = 0; at < source.sizeBytes; ) {
      for (const { offset, length, hole } of await source.extents(at, source.sizeBytes - at)) {
        expect(offset).toBe(at);
        if (hole) expect(raw.subarray(offset, offset + length).every((byte) => byte === 0)).toBe(true);
        if (hole) holes += length;
        at += length;
      }
    }
    expect(holes).toBeGreaterThan(30 * MIB);
  });

  test("storage that hangs fails reads after the stall time", async () => {
    const source = await connect(await serveRaw(["delay"], ["delay-read=20"]), { stallTimeoutMs: 300 });
    await expect(async () => source.read(0, 512)).rejects.toMatchObject({ code: "io_error", message: expect.stringMatching(/silent/) });
  });
});

test("the disk under test is what the raw file holds", async () => {
  expect(sha256(await readFile(path.join(folder, "disk.raw")))).toBe(sha256(raw));
});
