import { spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Export } from "../../agent/export/export.ts";
import { openExport } from "../../agent/export/export.ts";
import { endOrphans } from "../../agent/export/orphans.ts";
import { openNbd } from "../../agent/nbd/nbd-source.ts";
import { create, createOver, fill, makeFolder, patch, removeFolder } from "./images.ts";

let folder: string;
let root: string;
let runDir: string;
const open: Export[] = [];

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
  await removeFolder(folder);
});

async function serve(file = "top.qcow2"): Promise<Export> {
  const disk = await openExport({ repositoryRoot: root, path: file, runDir });
  open.push(disk);
  return disk;
}

const pause = (timeMs: number) => new Promise((resolve) => setTimeout(resolve, timeMs));
async function until(condition: () => Promise<boolean> | boolean, timeMs = 20_000): Promise<void> {
  const end = performance.now() + timeMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("waited in vain");
    await pause(5);
  }
}
const openFds = async () => (await readdir("/proc/self/fd")).length;
/** A process that runs: neither gone nor a zombie. */
const runs = async (pid: number) => {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") Z");
  return !/\) [ZX]/.test(status);
};

describe("an export", () => {
  test("keeps its socket to itself", async () => {
    const disk = await serve();
    expect((await stat(runDir)).mode & 0o777).toBe(0o700);
    expect(path.dirname(disk.socketPath)).toBe(runDir);
    expect((await stat(disk.socketPath)).isSocket()).toBe(true);
  });

  test("can't be written to, and leaves the files as they were", async () => {
    const before = await readFile(path.join(root, "top.qcow2"));
    const disk = await serve();
    const { stdout, stderr } = await execa("qemu-io", ["-f", "raw", "-c", "write 0 512", `nbd+unix:///?socket=${disk.socketPath}`], { reject: false });
    expect(stdout + stderr).toMatch(/read-only|not permitted|Permission denied/i);
    await disk.close();
    expect((await readFile(path.join(root, "top.qcow2"))).equals(before)).toBe(true);
  });

  test("serves the files that were checked, also when it starts anew and they were moved", async () => {
    const disk = await serve();
    await rename(path.join(root, "base.qcow2"), path.join(root, "moved.qcow2"));
    const source = await openNbd({ socketPath: disk.socketPath });
    expect((await source.read(0, 1))[0]).toBe(0x11);
    process.kill(disk.pid, "SIGKILL");
    expect((await source.read(5 << 20, 1))[0]).toBe(0x11);
    await source.close();
  });

  test("gives everything back on close, also twice", async () => {
    const disk = await serve();
    const { pid } = disk;
    await Promise.all([disk.close(), disk.close()]);
    await disk.close();
    expect(await disk.ended).toBeUndefined();
    expect(await runs(pid)).toBe(false);
    expect(await readdir(runDir)).toEqual([]);
  });

  test("leaks no descriptor, whether opening succeeds or fails", async () => {
    await serve().then((disk) => disk.close());
    await patch(path.join(root, "base.qcow2"), 0, Buffer.from("no qcow2"));
    await expect(serve()).rejects.toMatchObject({ code: "corrupt" });
    const before = await openFds();
    for (let round = 0; round < 5; round += 1) {
      await expect(serve()).rejects.toMatchObject({ code: "corrupt" });
      const disk = await serve("other.qcow2").catch(() => undefined);
      expect(disk).toBeUndefined();
    }
    await rm(path.join(root, "base.qcow2"));
    await create(root, "base.qcow2");
    for (let round = 0; round < 5; round += 1) {
      const disk = await serve();
      const source = await openNbd({ socketPath: disk.socketPath });
      await source.close();
      await disk.close();
    }
    await until(async () => (await openFds()) <= before);
  });

  test("several of one disk stand side by side", async () => {
    const [first, second] = [await serve(), await serve()];
    await first.close();
    const source = await openNbd({ socketPath: second.socketPath });
    expect((await source.read(1 << 20, 1))[0]).toBe(0x22);
    await source.close();
  });

  test.each(["top.qcow2", "base.qcow2"])("is refused as backup_in_use while %s is open for writing", async (file) => {
    const writer = spawn("qemu-io", ["-f", "qcow2", path.join(root, file)], { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise((resolve) => writer.stdout.once("data", resolve));
    try {
      await expect(serve()).rejects.toMatchObject({ code: "backup_in_use" });
      expect(await readdir(runDir)).toEqual([]);
    } finally {
      writer.stdin.end("quit\n");
      await new Promise((resolve) => writer.once("exit", resolve));
    }
    await serve();
  });

  test("QEMU's own refusal of an image is corrupt, in its words", async () => {
    // An L1 table that is not aligned to a cluster passes our header check, but not QEMU's.
    await patch(path.join(root, "top.qcow2"), 40, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 7));
    await expect(serve()).rejects.toMatchObject({ code: "corrupt", message: expect.stringMatching(/L1 table/) });
    expect(await readdir(runDir)).toEqual([]);
  });

  test("that does not open in time is io_error, and its process is ended even if it does not listen", async () => {
    const bin = path.join(folder, "bin");
    await mkdir(bin);
    const pidFile = path.join(folder, "pid");
    await writeFile(path.join(bin, "qemu-nbd"), `#!/bin/sh\ntrap '' TERM\necho $$ > '${pidFile}'\nwhile :; do sleep 0.05; done\n`, { mode: 0o755 });
    const before = process.env["PATH"];
    process.env["PATH"] = `${bin}:${before}`;
    try {
      const opening = openExport({ repositoryRoot: root, path: "top.qcow2", runDir, openTimeoutMs: 500 });
      await expect(opening).rejects.toMatchObject({ code: "io_error", message: expect.stringMatching(/within 500 ms/) });
    } finally {
      process.env["PATH"] = before;
    }
    expect(await runs(Number(await readFile(pidFile, "utf8")))).toBe(false);
    expect(await readdir(runDir)).toEqual([]);
  });

  test("a run folder whose path is too long for a socket is said so", async () => {
    runDir = path.join(folder, "r".repeat(100));
    await expect(serve()).rejects.toMatchObject({ code: "internal", message: expect.stringMatching(/107 bytes/) });
  });
});

describe("a lost qemu-nbd", () => {
  test("is replaced, and reads under way go on", async () => {
    const disk = await serve();
    const source = await openNbd({ socketPath: disk.socketPath });
    const first = disk.pid;
    let isDone = false;
    const killer = (async () => {
      await pause(30);
      process.kill(disk.pid, "SIGKILL");
      await until(() => disk.pid !== first);
      await pause(100);
      process.kill(disk.pid, "SIGKILL");
    })().finally(() => (isDone = true));
    const target = Buffer.alloc(16 << 20);
    for (let rounds = 0; !isDone || rounds < 3; rounds += 1) {
      target.fill(0xee);
      await source.readInto(0, target);
      expect(target.every((byte, at) => byte === (at >> 20 === 1 ? 0x22 : 0x11))).toBe(true);
    }
    await killer;
    await source.close();
  });

  test("that is lost too often ends the export with an error, and reads fail in time", async () => {
    const disk = await serve();
    const source = await openNbd({ socketPath: disk.socketPath, reconnectTimeoutMs: 500 });
    for (let losses = 0; losses < 4; losses += 1) {
      const { pid } = disk;
      await until(() => runs(pid));
      process.kill(pid, "SIGKILL");
      if (losses < 3) await until(() => disk.pid !== pid);
    }
    expect(await disk.ended).toMatchObject({ name: "PluckError", message: expect.stringMatching(/SIGKILL/) });
    await expect(async () => source.read(0, 512)).rejects.toMatchObject({ code: "io_error" });
    await source.close();
    await disk.close();
    expect(await readdir(runDir)).toEqual([]);
  });

  test("is not replaced after close", async () => {
    const disk = await serve();
    process.kill(disk.pid, "SIGKILL");
    await disk.close();
    await pause(300);
    expect(await readdir(runDir)).toEqual([]);
    expect(await endOrphans(runDir)).toBe(0);
  });
});

describe("a lost agent", () => {
  /** Another process that serves the disk as the agent does, and prints qemu-nbd's pid. */
  async function startAgent(): Promise<{ kill: () => void; qemuPid: number; exited: Promise<unknown> }> {
    const script = path.join(folder, "agent.ts");
    const module = path.resolve(import.meta.dirname, "../../agent/export/export.ts");
    await writeFile(
      script,
      `import { openExport } from ${JSON.stringify(module)};
       const disk = await openExport(${JSON.stringify({ repositoryRoot: root, path: "top.qcow2", runDir })});
       console.log(disk.pid);
       setInterval(() => undefined, 1000);`,
    );
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const line = await new Promise<string>((resolve) => child.stdout.once("data", (data) => resolve(String(data))));
    return { kill: () => child.kill("SIGKILL"), qemuPid: Number(line), exited };
  }

  test("leaves no qemu-nbd behind, even by kill -9", async () => {
    const agent = await startAgent();
    expect(await runs(agent.qemuPid)).toBe(true);
    agent.kill();
    await agent.exited;
    await until(async () => !(await runs(agent.qemuPid)));
  });

  test("its leftovers are ended at the next start, and nothing else", async () => {
    // Without the kernel's help: as where setpriv is missing.
    const leave = async (socket: string) => {
      await mkdir(path.dirname(socket), { recursive: true });
      const args = ["--read-only", "--persistent", `--socket=${socket}`, "-f", "qcow2", path.join(root, "top.qcow2")];
      const child = spawn("qemu-nbd", args, { stdio: "ignore", detached: true });
      await until(() => stat(socket).then(() => true, () => false));
      return child;
    };
    const orphan = await leave(path.join(runDir, "abc.sock"));
    const frozen = await leave(path.join(runDir, "def.sock"));
    frozen.kill("SIGSTOP");
    const bystanders = [
      await leave(path.join(folder, "run-2/abc.sock")),
      await leave(path.join(runDir, "inner/abc.sock")),
      spawn("sleep", ["60"], { stdio: "ignore" }),
    ];
    try {
      await writeFile(path.join(runDir, "stale.sock"), "");
      await writeFile(path.join(runDir, "keep.txt"), "");
      expect(await endOrphans(runDir)).toBe(2);
      // A process that was killed is still there for as long as the kernel takes to clear it away.
      for (const ended of [orphan, frozen]) await until(async () => !(await runs(ended.pid ?? -1)));
      for (const bystander of bystanders) expect(await runs(bystander.pid ?? -1)).toBe(true);
      expect((await readdir(runDir)).sort()).toEqual(["inner", "keep.txt"]);
      expect(await endOrphans(runDir)).toBe(0);
      expect(await endOrphans(path.join(folder, "no-such-folder"))).toBe(0);
    } finally {
      for (const child of [orphan, frozen, ...bystanders]) child.kill("SIGKILL");
    }
  });
});

test("an ordinary user without any capability serves a disk", async (context) => {
  if (process.getuid?.() !== 0) return context.skip("the other tests here run as an ordinary user already");
  // The project may lie where nobody else can look; a copy of what is needed does as well.
  const place = await mkdtemp("/tmp/pluck-user-");
  try {
    const project = path.resolve(import.meta.dirname, "../..");
    await chmod(place, 0o755);
    await mkdir(path.join(place, "state"), { mode: 0o777 });
    await chmod(path.join(place, "state"), 0o777);
    for (const part of ["agent", "shared", "package.json"]) await cp(path.join(project, part), path.join(place, part), { recursive: true });
    await cp(root, path.join(place, "repository"), { recursive: true });
    await cp(process.execPath, path.join(place, "node"));
    await execa("ln", ["-s", path.join(project, "node_modules"), path.join(place, "node_modules")]);
    const script = path.join(place, "try.ts");
    await writeFile(
      script,
      `import { openExport } from "./agent/export/export.ts";
       import { openNbd } from "./agent/nbd/nbd-source.ts";
       const disk = await openExport({ repositoryRoot: ${JSON.stringify(`${place}/repository`)}, path: "top.qcow2", runDir: ${JSON.stringify(`${place}/state/run`)} });
       const source = await openNbd({ socketPath: disk.socketPath });
       const bytes = await source.read(1024 * 1024, 1);
       await source.close();
       await disk.close();
       console.log(process.getuid(), bytes[0]);`,
    );
    const user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
    const { stdout } = await execa("setpriv", [...user, path.join(place, "node"), script]);
    expect(stdout).toBe(`65534 ${0x22}`);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
});
