import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demoBackups, pgtestFull, pgtestIncremental, diskPath } from "../../deploy/demo/catalog.ts";
import { isRoot, requireTools, temporaryFolder } from "../tools/environment.ts";

// Property: the demo repository is made without any privilege, is what real tools call sound, holds
// the two-disk VM with an incremental that shows other files, and never appears half-made.

requireTools("mkfs.ext4", "debugfs", "mkfs.vfat", "mcopy", "sfdisk", "qemu-img");

const GIB = 1024 ** 3;
const rootOffsetBytes = 257 * 1024 * 1024;
const projectFolder = join(import.meta.dirname, "../..");
let folder: string;
let repository: string;
let buildMs = 0;

function build(target: string) {
  const node = [process.execPath, join(projectFolder, "deploy/demo/main.ts"), target];
  // Root without a single capability may do what an ordinary user may.
  const command = isRoot() ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all", ...node] : node;
  return execa(command[0] ?? "", command.slice(1), { cwd: folder });
}

beforeAll(async () => {
  // A path as people have them: tools that take it apart at a blank or a quote must not be given it bare.
  folder = join(await temporaryFolder(), `it's "here"`);
  await mkdir(folder);
  repository = join(folder, "demo");
  const begun = Date.now();
  await build(repository);
  buildMs = Date.now() - begun;
});

afterAll(async () => {
  await rm(join(folder, ".."), { recursive: true, force: true });
});

async function raw(path: string): Promise<string> {
  const target = join(folder, "disk.raw");
  await rm(target, { force: true });
  await execa("qemu-img", ["convert", "-O", "raw", join(repository, path), target]);
  return target;
}

async function debugfs(image: string, request: string): Promise<string> {
  const { stdout } = await execa("/usr/sbin/debugfs", ["-R", request, image], { stripFinalNewline: false });
  return stdout;
}

describe("the demo repository", () => {
  it("is built in seconds, without capabilities, and takes less than 200 MB", async () => {
    expect(buildMs).toBeLessThan(60_000);
    const { stdout } = await execa("du", ["-sm", repository]);
    expect(Number.parseInt(stdout, 10)).toBeLessThan(200);
    expect(await readdir(folder)).toEqual(["demo"]);
  });

  it("lays files out as <vm>/disk-<n>/<file>.qcow2, of the sizes that the catalog has", async () => {
    for (const disk of demoBackups.flatMap((backup) => backup.disks)) {
      const { stdout } = await execa("qemu-img", ["info", "--output=json", join(repository, disk.qcow2_path)]);
      const info = JSON.parse(stdout) as { format: string; "virtual-size": number };
      expect(info.format).toBe("qcow2");
      expect(disk.qcow2_path).toMatch(new RegExp(`^[a-z0-9]+/disk-${disk.disk_index}/[^/]+\\.qcow2$`));
      expect([102 * GIB, 5 * GIB, 20 * GIB]).toContain(info["virtual-size"]);
      await execa("qemu-img", ["check", "-q", join(repository, disk.qcow2_path)]);
    }
  });

  it("keeps in the incremental only what changed, over a base in its own folder", async () => {
    for (const index of [0, 1]) {
      const [full, incremental] = [diskPath(pgtestFull, index), diskPath(pgtestIncremental, index)];
      const { stdout } = await execa("qemu-img", ["info", "--output=json", join(repository, incremental)]);
      const info = JSON.parse(stdout) as Record<string, unknown>;
      expect(info).toMatchObject({ "backing-filename": full.split("/").at(-1), "backing-filename-format": "qcow2" });
      const bytes = async (path: string): Promise<number> => (await stat(join(repository, path))).size;
      expect(await bytes(incremental)).toBeLessThan((await bytes(full)) / 5);
    }
  });

  it("holds on disk 0 a sound ext4 root, different in full and incremental", async () => {
    const seen: Record<string, string>[] = [];
    for (const backup of [pgtestFull, pgtestIncremental]) {
      const disk = await raw(diskPath(backup, 0));
      const { stdout } = await execa("/usr/sbin/sfdisk", ["--json", disk]);
      const table = (JSON.parse(stdout) as { partitiontable: { label: string; partitions: { start: number; name: string }[] } }).partitiontable;
      expect(table.label).toBe("gpt");
      expect(table.partitions.map(({ start, name }) => [start * 512, name])).toEqual([
        [1024 * 1024, "EFI System"],
        [rootOffsetBytes, "root"],
      ]);
      const root = `${disk}?offset=${rootOffsetBytes}`;
      await execa("/usr/sbin/e2fsck", ["-fn", root]);
      seen.push({ hosts: await debugfs(root, "cat /etc/hosts"), documents: await debugfs(root, "ls -p /home/anna/Documents"), owner: await debugfs(root, "stat /home/anna/Documents/report.md") });
    }
    const [full, incremental] = seen;
    expect(full?.["hosts"]).not.toContain("web02");
    expect(incremental?.["hosts"]).toContain("web02");
    expect(full?.["documents"]).toContain("/draft.txt/");
    expect(incremental?.["documents"]).not.toContain("/draft.txt/");
    expect(full?.["documents"]).not.toContain("offer-web02.pdf");
    expect(incremental?.["documents"]).toContain("offer-web02.pdf");
    expect(incremental?.["owner"]).toMatch(/User:\s+1000\s+Group:\s+1000/);
  });

  it("holds on disk 1 a sound ext4 without a partition table", async () => {
    for (const backup of [pgtestFull, pgtestIncremental]) {
      const disk = await raw(diskPath(backup, 1));
      await execa("/usr/sbin/e2fsck", ["-fn", disk]);
      expect(await debugfs(disk, "cat /15/main/PG_VERSION")).toBe("15\n");
    }
  });

  it("is left alone when it is there", async () => {
    const before = await stat(repository);
    await build(repository);
    expect((await stat(repository)).mtimeMs).toBe(before.mtimeMs);
  });

  it("leaves nothing half-made when the build is killed, and the next build succeeds", async () => {
    const target = join(folder, "cut-off");
    const killed = build(target);
    killed.catch(() => undefined);
    await sleep(1500);
    killed.kill("SIGKILL");
    await killed.catch(() => undefined);
    expect(await readdir(folder)).not.toContain("cut-off");
    await build(target);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(["cut-off"]));
    expect((await readdir(folder)).filter((name) => name.includes("building"))).toEqual([]);
    const hosts = join(target, diskPath(pgtestIncremental, 0));
    expect((await readFile(hosts)).subarray(0, 4).toString("latin1")).toBe("QFI\xfb");
  });
});
