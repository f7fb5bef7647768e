import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, closeSync, futimesSync, linkSync, openSync, statSync, writeSync } from "node:fs";
import { chmod, chown, copyFile, link, mkdir, open as openFile, readdir, readFile, rename, stat, truncate, unlink, utimes } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Export, openExport } from "../../agent/export/export.ts";
import type { StorageKind } from "../../agent/export/storage-kind.ts";
import { openNbd } from "../../agent/nbd/nbd-source.ts";
import { create, createOver, fill, makeFolder, patch, qemuImg, removeFolder } from "./images.ts";

// Property: a job that writes to a backup, or deletes it, is never kept waiting, and nobody takes what
// was read meanwhile for the backup. The writers are QEMU's own tools.

let folder: string;
let root: string;
let runDir: string;
const open: Export[] = [];
const writers: ChildProcess[] = [];

beforeEach(async () => {
  folder = await makeFolder();
  root = path.join(folder, "repository");
  runDir = path.join(folder, "run");
  await mkdir(root);
  await create(root, "base.qcow2");
  await fill(root, "base.qcow2", 0x11, 0, 16);
  await createOver(root, "top.qcow2", "base.qcow2");
  await fill(root, "top.qcow2", 0x22, 1, 1);
});
afterEach(async () => {
  for (const disk of open.splice(0)) await disk.close();
  for (const writer of writers.splice(0)) await end(writer);
  await removeFolder(folder);
});

const at = (name: string) => path.join(root, name);
const pause = (timeMs: number) => new Promise((resolve) => setTimeout(resolve, timeMs));

async function serve(file = "top.qcow2", storage?: StorageKind): Promise<Export> {
  const disk = await openExport({ repositoryRoot: root, path: file, runDir, ...(storage === undefined ? {} : { storage }) });
  open.push(disk);
  return disk;
}

/** A program that has the file open until it is ended. */
async function hold(program: string, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  writers.push(child);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

const inUse = (file: string) => expect.objectContaining({ code: "backup_in_use", extra: { file }, message: expect.stringContaining(file) });

/** The export ends by itself, for this file, and leaves nothing behind. */
async function expectEnd(disk: Export, file: string): Promise<void> {
  expect(await disk.ended).toEqual(inUse(file));
  await expect(disk.assertUnchanged()).rejects.toEqual(inUse(file));
  await disk.close();
  expect((await readdir(runDir)).filter((name) => disk.socketPath.endsWith(name))).toEqual([]);
}

/** It is still there after more than a sweep, and says that nothing changed. */
async function expectNoEnd(disk: Export): Promise<void> {
  await disk.assertUnchanged();
  expect(await Promise.race([disk.ended, pause(2500)])).toBeUndefined();
  await disk.assertUnchanged();
  const source = await openNbd({ socketPath: disk.socketPath });
  expect((await source.read(15 << 20, 1))[0]).toBe(0x11);
  await source.close();
}

describe.each(["local", "shared"] as const)("a writer that was first (%s storage)", (storage) => {
  test.each([
    ["qemu-io", "top.qcow2"],
    ["qemu-io", "base.qcow2"],
  ])("%s on %s: backup_in_use, until it is done", async (program, file) => {
    const writer = await hold(program, "-f", "qcow2", at(file));
    await expect(serve("top.qcow2", storage)).rejects.toMatchObject({ code: "backup_in_use" });
    if (storage === "local") await expect(serve("top.qcow2", storage)).rejects.toEqual(inUse(file));
    expect(await readdir(runDir)).toEqual([]);
    await end(writer);
    await serve("top.qcow2", storage);
  });

  test("a qemu-nbd that serves the overlay for writing: neither is it a reason for the base", async () => {
    const writer = spawn("qemu-nbd", ["--persistent", "-f", "qcow2", "-k", path.join(folder, "rw.sock"), at("top.qcow2")], { stdio: "ignore" });
    writers.push(writer);
    while (!(await stat(path.join(folder, "rw.sock")).catch(() => undefined))) await pause(5);
    await pause(100);
    await expect(serve("top.qcow2", storage)).rejects.toMatchObject({ code: "backup_in_use" });
    // That is how the next incremental is written: the base is only read.
    await serve("base.qcow2", storage);
  });

  test("readers are no reason: QEMU's, ours, and one that asks for no locks", async () => {
    await hold("qemu-io", "-r", "-f", "qcow2", at("top.qcow2"));
    await hold("qemu-io", "-r", "-U", "-f", "qcow2", at("base.qcow2"));
    await serve("top.qcow2", storage);
    await serve("top.qcow2", storage);
    await serve("base.qcow2", storage);
  });
});

test("a file that is being written without any lock is not served", async () => {
  const handle = await openFile(at("base.qcow2"), "r+");
  let isOver = false;
  const writing = (async () => {
    while (!isOver) await handle.write(Buffer.from([0x11]), 0, 1, 10 << 20).then(() => pause(1));
  })();
  try {
    // At once, or, where the writer was kept waiting just then, by its next write.
    const outcome = await serve().then((running) => running.ended, (error: unknown) => error);
    expect(outcome).toMatchObject({ code: "backup_in_use" });
  } finally {
    isOver = true;
    await writing;
    await handle.close();
  }
  await serve();
});

describe("a job on an open disk succeeds, and the disk is closed", () => {
  test("qemu-img commit of the overlay into the base, for both", async () => {
    const [top, base] = [await serve("top.qcow2"), await serve("base.qcow2")];
    await qemuImg(root, "commit", "-q", "-f", "qcow2", "top.qcow2");
    await expectEnd(base, "base.qcow2");
    expect((await top.ended)?.code).toBe("backup_in_use");
    const source = await openNbd({ socketPath: (await serve("base.qcow2")).socketPath });
    expect((await source.read(1 << 20, 1))[0]).toBe(0x22);
    await source.close();
  });

  test("qemu-img rebase", async () => {
    const disk = await serve();
    await qemuImg(root, "rebase", "-q", "-f", "qcow2", "-b", "", "top.qcow2");
    await expectEnd(disk, "top.qcow2");
    expect((await serve()).chain.files).toHaveLength(1);
  });

  test("a write into a cluster that is there already: the file's size stays", async () => {
    const disk = await serve();
    const before = await stat(at("base.qcow2"));
    await fill(root, "base.qcow2", 0x77, 3);
    expect((await stat(at("base.qcow2"))).size).toBe(before.size);
    await expectEnd(disk, "base.qcow2");
  });

  test("a file that is cut short, or replaced, or written to by anybody", async () => {
    const cases: [string, () => Promise<unknown>][] = [
      ["base.qcow2", async () => await truncate(at("base.qcow2"), 1 << 20)],
      ["base.qcow2", async () => await copyFile(at("fresh"), at("base.qcow2"))],
      ["base.qcow2", async () => await rename(at("fresh"), at("base.qcow2"))],
      ["top.qcow2", async () => await patch(at("top.qcow2"), 65_535, Uint8Array.of(1))],
    ];
    await copyFile(at("base.qcow2"), at("fresh"));
    await copyFile(at("base.qcow2"), at("keep"));
    for (const [file, change] of cases) {
      const disk = await serve();
      await change();
      await expectEnd(disk, file);
      await copyFile(at("keep"), at("base.qcow2"));
    }
  });

  test("a deletion, also when the file lives on under another name", async () => {
    const first = await serve();
    await unlink(at("base.qcow2"));
    await expectEnd(first, "base.qcow2");
    await expect(serve()).rejects.toMatchObject({ code: "qcow2_missing" });
    await create(root, "base.qcow2");
    await link(at("base.qcow2"), at("snapshot"));
    const second = await serve();
    await unlink(at("base.qcow2"));
    await expectEnd(second, "base.qcow2");
  });

  test("another file under its name after it was moved away: noticed at the next sweep", async () => {
    const disk = await serve();
    await rename(at("base.qcow2"), at("old.qcow2"));
    await create(root, "base.qcow2");
    expect(await Promise.race([disk.ended, pause(5000)])).toEqual(inUse("base.qcow2"));
  });

  test.each([
    ["both times", ["-r"]],
    ["the modification time alone", ["-m", "-r"]],
  ])("bytes whose time was set back afterwards: %s", async (_, options) => {
    const disk = await serve();
    await execa("touch", ["-r", at("base.qcow2"), at("times")]);
    await patch(at("base.qcow2"), 10 << 20, Uint8Array.of(0x99));
    await execa("touch", [...options, at("times"), at("base.qcow2")]);
    await expectEnd(disk, "base.qcow2");
  });

  test.each(["chmod", "link"])("bytes whose time was set back at once, hidden behind a %s", async (cover) => {
    // A time that Node can set to the digit.
    await utimes(at("base.qcow2"), 1_700_000_000, 1_700_000_000);
    const { atime, mtime } = statSync(at("base.qcow2"));
    const disk = await serve();
    const handle = openSync(at("base.qcow2"), "r+");
    // In one go: nobody can look in between.
    writeSync(handle, Uint8Array.of(0x99), 0, 1, 10 << 20);
    futimesSync(handle, atime, mtime);
    if (cover === "chmod") chmodSync(at("base.qcow2"), 0o440);
    else linkSync(at("base.qcow2"), at("link.qcow2"));
    closeSync(handle);
    await expectEnd(disk, "base.qcow2");
  });

  test("and a killed server is not brought back over changed files", async () => {
    const disk = await serve();
    process.kill(disk.pid, "SIGKILL");
    await fill(root, "base.qcow2", 0x77, 3);
    await expectEnd(disk, "base.qcow2");
  });
});

describe("what changes no byte is no reason", () => {
  test("a next incremental on top, and its writer", async () => {
    const disk = await serve();
    await createOver(root, "next.qcow2", "top.qcow2");
    const writer = await hold("qemu-io", "-f", "qcow2", at("next.qcow2"));
    writer.stdin?.write("write -P 5 2M 1M\n");
    await expectNoEnd(disk);
    await serve();
  });

  test("readers: qemu-img, a copy, a checksum", async () => {
    const disk = await serve();
    await qemuImg(root, "convert", "-O", "raw", "top.qcow2", path.join(folder, "out.raw"));
    await qemuImg(root, "check", "-q", "top.qcow2");
    await copyFile(at("base.qcow2"), at("copy.qcow2"));
    await readFile(at("top.qcow2"));
    await expectNoEnd(disk);
  });

  test("an access time, names, rights, the owner, a move", async () => {
    const disk = await serve();
    const changes: (() => Promise<unknown>)[] = [
      async () => await execa("touch", ["-a", at("base.qcow2")]),
      async () => await link(at("base.qcow2"), at("link.qcow2")),
      async () => await unlink(at("link.qcow2")),
      async () => await chmod(at("base.qcow2"), 0o440),
      async () => await execa("touch", ["-a", at("base.qcow2")]),
      async () => await rename(at("base.qcow2"), at("moved.qcow2")),
      async () => await rename(at("moved.qcow2"), at("base.qcow2")),
      async () => await rename(root, `${root}-moved`),
      async () => await rename(`${root}-moved`, root),
      ...(process.getuid?.() === 0 ? [async () => await chown(at("base.qcow2"), 65_534, 65_534)] : []),
    ];
    for (const change of changes) {
      await change();
      await disk.assertUnchanged();
    }
    await expectNoEnd(disk);
  });
});

describe("the check before an answer is complete", () => {
  test("sees a write at once, before any notification could", async () => {
    for (let round = 0; round < 20; round += 1) {
      const disk = await serve();
      await disk.assertUnchanged();
      await patch(at("base.qcow2"), 10 << 20, Uint8Array.of(0x10 + round));
      await expect(disk.assertUnchanged()).rejects.toEqual(inUse("base.qcow2"));
    }
  });

  test("never lets a mixture pass: what was read and found unchanged is what was there at the start", async () => {
    let passed = 0;
    for (let round = 0; round < 8; round += 1) {
      const value = 0x40 + round;
      await fill(root, "base.qcow2", value, 2, 14);
      const disk = await serve();
      const source = await openNbd({ socketPath: disk.socketPath, reconnectTimeoutMs: 200 });
      const writing = pause(round * 20).then(() => fill(root, "base.qcow2", 0xff, 2, 14));
      const target = Buffer.alloc(14 << 20);
      for (;;) {
        const read = await source.readInto(2 << 20, target).then(() => disk.assertUnchanged()).then(() => true, () => false);
        if (!read) break;
        passed += 1;
        expect(target.every((byte) => byte === value)).toBe(true);
      }
      await writing;
      expect((await disk.ended)?.code).toBe("backup_in_use");
      await source.close();
    }
    expect(passed).toBeGreaterThan(0);
  });

});

test("on storage that nothing is known of, a writer is kept away instead", async () => {
  const disk = await serve("top.qcow2", "unknown");
  await expect(fill(root, "base.qcow2", 1, 1)).rejects.toThrow(/lock/);
  await expect(qemuImg(root, "commit", "-q", "-f", "qcow2", "top.qcow2")).rejects.toThrow(/lock/);
  await disk.assertUnchanged();
  await disk.close();
  const writer = await hold("qemu-io", "-f", "qcow2", at("base.qcow2"));
  await expect(serve("top.qcow2", "unknown")).rejects.toMatchObject({ code: "backup_in_use" });
  await end(writer);
});
