import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createOpenMounts, type OpenMountsOptions } from "../../agent/mounts/open-mounts.ts";
import type { OpenMount, OpenMounts, OpenRequest } from "../../agent/mounts/open-mount.ts";
import { toMountResult } from "../../agent/mounts/mount-result.ts";
import { checkFiles, scanRepository } from "../../agent/mounts/scan-repository.ts";
import { PluckError } from "../../shared/errors.ts";
import { commandResults } from "../../shared/messages.ts";

let folder: string;
let repositoryRoot: string;
let runDir: string;
const open: OpenMounts[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-mounts-"));
  repositoryRoot = join(folder, "repository");
  runDir = join(folder, "run");
  const tree = join(folder, "tree");
  await mkdir(join(tree, "etc"), { recursive: true });
  await mkdir(join(repositoryRoot, "web", "disk-0"), { recursive: true });
  await mkdir(join(repositoryRoot, "web", "disk-1"), { recursive: true });
  await writeFile(join(tree, "etc", "hosts"), "127.0.0.1 localhost\n");
  await writeFile(join(tree, "large"), Buffer.alloc(24 << 20, "x"));
  const raw = join(folder, "disk.raw");
  await writeFile(raw, "");
  await truncate(raw, 64 << 20);
  await execa("mkfs.ext4", ["-q", "-F", "-L", "data", "-d", tree, raw]);
  await execa("qemu-img", ["convert", "-O", "qcow2", raw, join(repositoryRoot, "web/disk-0/full.qcow2")]);
  await execa("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "full.qcow2", "-F", "qcow2", join(repositoryRoot, "web/disk-0/inc.qcow2")]);
  await execa("qemu-img", ["create", "-q", "-f", "qcow2", join(repositoryRoot, "web/disk-1/empty.qcow2"), "1M"]);
  await execa("qemu-img", ["create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", join(repositoryRoot, "web/disk-1/outside.qcow2"), "1M"]);
  await symlink("/etc", join(repositoryRoot, "elsewhere"));
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((mounts) => mounts.close()));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function start(more: Partial<OpenMountsOptions> = {}): OpenMounts {
  const mounts = createOpenMounts({ repositoryRoot, runDir, slots: 2, ...more });
  open.push(mounts);
  return mounts;
}

function request(mountId: string, qcow2Path = "web/disk-0/inc.qcow2"): OpenRequest {
  return { mountId, qcow2Path, jwks: { keys: [{ kty: "OKP", kid: "k" }] }, webOrigin: null };
}

async function failure(promise: Promise<unknown>): Promise<PluckError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof PluckError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

async function readText(mount: OpenMount, segments: string[]): Promise<string> {
  const target = { segments, withinDepth: 0 };
  const { size } = await mount.reader.resolve(target);
  return new Response(mount.reader.read({ ...target, offset: 0, length: size })).text();
}

/** Pids of the qemu-nbd that serve our run folder. */
async function servers(): Promise<number[]> {
  const pids: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes(`--socket=${runDir}/`)) pids.push(Number(pid));
  }
  return pids;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error("it did not come about in 20 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("open mounts", () => {
  test("a disk is opened, read and given back without a trace", async () => {
    const mounts = start();
    const mount = await mounts.open(request("m1"));
    expect(toMountResult(mount)).toMatchObject({ mount_id: "m1", nbd_device: "nbd0", filesystem_type: "ext4", size_bytes: 64 << 20 });
    expect(commandResults.mount.parse(toMountResult(mount)).volumes[0]).toMatchObject({ name: "disk", label: "data", readable: true });
    expect(await readText(mount, ["disk", "etc", "hosts"])).toBe("127.0.0.1 localhost\n");
    expect(mounts.list().map((known) => known.mountId)).toEqual(["m1"]);
    expect(await mounts.end("m1")).toBe(true);
    expect(mount.ended.reason).toMatchObject({ code: "mount_not_found" });
    expect(await mounts.end("m1")).toBe(false);
    expect(mounts.get("m1")).toBeUndefined();
    expect(await servers()).toEqual([]);
    expect(await readdir(runDir)).toEqual([]);
    expect((await failure(readText(mount, ["disk", "etc", "hosts"]))).code).toBe("mount_not_found");
  });

  test("the same mount asked for twice at once is opened once", async () => {
    const mounts = start();
    const [first, second] = await Promise.all([mounts.open(request("m1")), mounts.open({ ...request("m1"), webOrigin: "https://example.org" })]);
    expect(second).toBe(first);
    expect(first.webOrigin).toBe("https://example.org");
    expect(await mounts.open(request("m1"))).toBe(first);
    expect(await servers()).toHaveLength(1);
  });

  test("a known id with another path ends the old disk first", async () => {
    const mounts = start();
    const old = await mounts.open(request("m1", "web/disk-0/full.qcow2"));
    const mount = await mounts.open(request("m1"));
    expect(old.ended.aborted).toBe(true);
    expect(mount.qcow2Path).toBe("web/disk-0/inc.qcow2");
    expect(mount.nbdDevice).toBe("nbd0");
    expect(await servers()).toHaveLength(1);
  });

  test("the lowest free slot is taken, and when there is none the error says when to retry", async () => {
    const mounts = start();
    const [a, b] = await Promise.all([mounts.open(request("a")), mounts.open(request("b"))]);
    expect([a.nbdDevice, b.nbdDevice]).toEqual(["nbd0", "nbd1"]);
    const error = await failure(mounts.open(request("c")));
    expect(error).toMatchObject({ code: "nbd_devices_exhausted" });
    expect(error.retryAfterS).toBeGreaterThan(0);
    await mounts.end("a");
    expect((await mounts.open(request("c"))).nbdDevice).toBe("nbd0");
  });

  test("what fails to open leaves nothing behind, and its slot is free", async () => {
    const mounts = start({ slots: 1 });
    expect((await failure(mounts.open(request("m1", "web/disk-0/none.qcow2")))).code).toBe("qcow2_missing");
    expect((await failure(mounts.open(request("m1", "web/disk-1/outside.qcow2")))).code).toBe("chain_outside_repository");
    expect(mounts.opening()).toEqual([]);
    expect(await servers()).toEqual([]);
    expect((await mounts.open(request("m2"))).nbdDevice).toBe("nbd0");
  });

  test("a disk on which nothing can be read is open all the same and says why", async () => {
    const mount = await start().open(request("m1", "web/disk-1/empty.qcow2"));
    expect(toMountResult(mount)).toMatchObject({ filesystem_type: null, volumes: [{ name: "disk", readable: false, error: { code: "unsupported" } }] });
  });

  test("a mount can be ended while it is being opened", async () => {
    const mounts = start({ slots: 1 });
    const opening = failure(mounts.open(request("m1")));
    expect(mounts.opening()).toEqual(["m1"]);
    expect(await mounts.end("m1")).toBe(true);
    expect((await opening).code).toBe("mount_not_found");
    expect(mounts.opening()).toEqual([]);
    expect(await servers()).toEqual([]);
    expect((await mounts.open(request("m2"))).nbdDevice).toBe("nbd0");
  });

  test("transfers and accesses are counted on the clock it was given", async () => {
    let now = new Date("2026-01-01T00:00:00Z");
    const mount = await start({ now: () => now }).open(request("m1"));
    now = new Date("2026-01-01T01:00:00Z");
    expect(mount.lastAccessedAt).toEqual(new Date("2026-01-01T00:00:00Z"));
    const over = mount.beginTransfer();
    expect(mount.transfers).toBe(1);
    expect(mount.lastAccessedAt).toEqual(now);
    now = new Date("2026-01-01T02:00:00Z");
    over();
    over();
    expect(mount.transfers).toBe(0);
    expect(mount.lastAccessedAt).toEqual(now);
  });

  test("a qemu-nbd that is killed is replaced, and a running transfer goes on", async () => {
    const mount = await start().open(request("m1"));
    const target = { segments: ["disk", "large"], withinDepth: 0 };
    const reader = mount.reader.read({ ...target, offset: 0, length: 24 << 20 }).getReader();
    let length = (await reader.read()).value!.length;
    for (const pid of await servers()) process.kill(pid, "SIGKILL");
    for (let next = await reader.read(); !next.done; next = await reader.read()) length += next.value.length;
    expect(length).toBe(24 << 20);
    expect(mount.ended.aborted).toBe(false);
  });

  test("a reader that is led astray ends its mount and is reported; others stay", async () => {
    const mounts = start({ workerEntry: new URL("../reader/hostile-worker.ts", import.meta.url), watchdog: { timeoutMs: 2000, intervalMs: 100 } });
    const lost: [string, Error][] = [];
    mounts.onLost((mountId, error) => lost.push([mountId, error]));
    const mount = await mounts.open(request("m1"));
    const other = await mounts.open(request("m2"));
    const [volume] = mount.reader.volumes;
    const listing = mount.reader.list({ segments: [volume!.name, "spin"], withinDepth: 0, recursive: false, limit: 10 });
    expect((await failure(listing)).code).toBe("corrupt");
    await until(() => lost.length === 1);
    expect(lost[0]).toMatchObject(["m1", { code: "corrupt" }]);
    expect(mount.ended.reason).toMatchObject({ code: "corrupt" });
    expect(mounts.list()).toEqual([other]);
    expect(await servers()).toHaveLength(1);
  });

  test("closing ends every mount, also those being opened", async () => {
    const mounts = start();
    await mounts.open(request("m1"));
    const opening = failure(mounts.open(request("m2")));
    await mounts.close();
    await opening;
    expect(await servers()).toEqual([]);
    expect((await failure(mounts.open(request("m3")))).message).toContain("stopping");
  });
});

describe("the repository", () => {
  test("a scan finds files by their layout and says what is wrong with one; symlinks are passed over", async () => {
    const { files, truncated } = commandResults.scan.parse(await scanRepository(repositoryRoot));
    expect(truncated).toBe(false);
    expect(files.map((file) => [file.vm_name, file.disk_index, file.qcow2_path, file.size_bytes, file.chain.length, file.error?.code])).toEqual([
      ["web", 0, "web/disk-0/full.qcow2", 64 << 20, 1, undefined],
      ["web", 0, "web/disk-0/inc.qcow2", 64 << 20, 2, undefined],
      ["web", 1, "web/disk-1/empty.qcow2", 1 << 20, 1, undefined],
      ["web", 1, "web/disk-1/outside.qcow2", 0, 0, "chain_outside_repository"],
    ]);
  });

  test("a check answers for each file by itself, in the order asked", async () => {
    const { files } = commandResults.check.parse(await checkFiles(repositoryRoot, ["web/disk-0/none.qcow2", "web/disk-0/inc.qcow2", "../outside.qcow2"]));
    expect(files.map((file) => (file.ok ? file.chain : file.error.code))).toEqual(["qcow2_missing", ["web/disk-0/inc.qcow2", "web/disk-0/full.qcow2"], expect.any(String)]);
  });

  test("a check takes a whole path too, as long as it lies inside", async () => {
    const { files } = commandResults.check.parse(await checkFiles(repositoryRoot, [join(repositoryRoot, "web/disk-0/full.qcow2"), join(repositoryRoot, "../outside.qcow2")]));
    expect(files.map((file) => (file.ok ? file.chain : file.error.code))).toEqual([["web/disk-0/full.qcow2"], "chain_outside_repository"]);
  });
});
