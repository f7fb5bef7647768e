import { createHash } from "node:crypto";
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fullBackupId, incrementalBackupId, makeRepository, type TestRepository } from "../system/repository.ts";
import { descendantsWith, eventually, startSystem, type System } from "../system/system.ts";
import { bidiName, escapeName, latin1Name, makeHostile, makeLocked, passphrase } from "./guests.ts";
import { freePort, startProxy, type Proxy } from "./proxy.ts";
import { openTerminal } from "./terminal.ts";

// The command as a user runs it, against a whole Pluck: what is right are the folders that mkfs was
// given. Between the command and the agent stands a proxy, so that a transfer can be met half-way.

const project = resolve(import.meta.dirname, "../..");
const pluckFile = join(project, "cli/pluck");
const oddVm = "mail@example.net:25";

let folder: string;
let repository: TestRepository;
let hostile: string;
let system: System;
let proxy: Proxy;
let environment: Record<string, string>;
/** A fresh folder for each test. */
let out: string;

interface Ran {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

async function pluck(args: readonly string[], options: { env?: Record<string, string>; input?: string; cwd?: string } = {}): Promise<Ran> {
  const ran = await execa(pluckFile, args, { env: { ...environment, ...options.env }, cwd: options.cwd ?? folder, reject: false, stripFinalNewline: false, ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }) });
  return { code: ran.exitCode, stdout: ran.stdout, stderr: ran.stderr };
}

/** Runs it, expects success, gives stdout. */
async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await pluck(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

async function json(...args: string[]): Promise<{ [key: string]: unknown }> {
  return JSON.parse(await ok(...args, "--json")) as { [key: string]: unknown };
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const openMounts = async (): Promise<string[]> => ((await system.api("GET", "/restore/mounts")).body.mounts as { mount_id: string }[]).map(({ mount_id }) => mount_id);
const endMounts = async (): Promise<void> => {
  for (const id of await openMounts()) await system.api("DELETE", `/restore/${id}`);
};

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-cli-");
  repository = await makeRepository(folder);
  const hostileDisk = "hostile/disk-0/hostile-20251010-000000.qcow2";
  const lockedDisk = "locked/disk-0/locked-20251010-000000.qcow2";
  hostile = await makeHostile(folder, join(repository.path, hostileDisk));
  await makeLocked(folder, join(repository.path, lockedDisk));
  const agentPort = await freePort();
  proxy = await startProxy(() => agentPort);
  system = await startSystem(join(folder, "home"), {
    PLUCK_REPOSITORY: repository.path, PLUCK_NBD_SLOTS: "3", PLUCK_HEARTBEAT_S: "0.5",
    PLUCK_AGENT_PORT: String(agentPort), PLUCK_AGENT_PUBLIC_URL: `http://127.0.0.1:${proxy.port}`,
  });
  environment = { PLUCK_URL: system.url, PLUCK_TOKEN: system.token, XDG_CONFIG_HOME: join(folder, "config"), NO_COLOR: "1" };
  // What the scan of the start found is registered anew, under names that are known here.
  for (const { backup_id } of (await system.api("GET", "/backups?limit=100")).body.backups) await system.api("DELETE", `/backups/${backup_id}`);
  const { id } = (await system.api("GET", "/repositories")).body.repositories[0];
  const disks = (...paths: string[]): string[] => paths.flatMap((path) => ["--disk", path]);
  await ok("register", "pgtest1", "--repository", id, "--id", fullBackupId, "--completed-at", "2025-10-08T19:24:31Z", ...disks(repository.disks.full0, repository.disks.full1));
  await ok("register", "pgtest1", "--repository", id, "--id", incrementalBackupId, "--completed-at", "2025-10-09T19:24:31Z", ...disks(repository.disks.incremental0, repository.disks.incremental1));
  await ok("register", "hostile", "--repository", id, "--id", "backup-hostile", "--disk", hostileDisk);
  await ok("register", "locked", "--repository", id, "--id", "backup-locked", "--disk", lockedDisk);
  await ok("register", oddVm, "--repository", id, "--id", "backup-odd", "--disk", `3=${repository.disks.full1}`);
});

afterAll(async () => {
  await system?.stop();
  await proxy?.close();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  out = await mkdtemp(join(folder, "out-"));
});

describe("starting", () => {
  it("runs by npx in the project, through a symlink from anywhere, and says its version", async () => {
    const { version } = JSON.parse(await readFile(join(project, "package.json"), "utf8")) as { version: string };
    expect((await execa("npx", ["--no-install", "pluck", "--version"], { cwd: project })).stdout).toBe(`pluck ${version}`);
    await symlink(pluckFile, join(out, "pluck"));
    // The machine's own Node may be an old one, or none.
    expect((await execa(join(out, "pluck"), ["--version"], { cwd: out, env: { PATH: "/usr/bin:/bin" }, extendEnv: false })).stdout).toBe(`pluck ${version}`);
  });

  it("says what to do where the packages are not installed", async () => {
    await mkdir(join(out, "cli"));
    await cp(pluckFile, join(out, "cli/pluck"));
    const ran = await execa(join(out, "cli/pluck"), ["vms"], { reject: false });
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toBe(`pluck: not_installed: The packages of ${out} are not installed. Install them: node ${out}/deploy/bootstrap.mjs npm`);
  });

  it("shows help for every command", async () => {
    const help = await ok("help");
    const commands = [...help.matchAll(/^ {2}([a-z]+)[ |]/gm)].map(([, name]) => name ?? "").filter((name) => name !== "pgtest1");
    expect(commands).toEqual(expect.arrayContaining(["login", "logout", "vms", "backups", "ls", "tree", "stat", "cat", "get", "mounts", "umount", "unlock", "link", "agents", "events", "register", "scan", "completion"]));
    expect((await pluck([])).code).toBe(2);
  });
});

describe("signing in", () => {
  it("asks for the token without showing it, and keeps it for its owner", async () => {
    const terminal = openTerminal([pluckFile, "login", system.url], { XDG_CONFIG_HOME: join(out, "config"), PLUCK_TOKEN: "", PLUCK_URL: "" });
    await terminal.shows(/Token for .*: /);
    terminal.type(`${system.token}\r`);
    await terminal.shows(/Signed in at .* as admin \(admin\)/);
    expect(await terminal.ended()).toBe(0);
    expect(terminal.output()).not.toContain(system.token);
    const file = join(out, "config/pluck/login.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const stored = { PLUCK_URL: "", PLUCK_TOKEN: "", XDG_CONFIG_HOME: join(out, "config") };
    expect((await pluck(["vms"], { env: stored })).code).toBe(0);
    expect((await pluck(["logout"], { env: stored })).code).toBe(0);
    const after = await pluck(["vms"], { env: stored });
    expect([after.code, after.stderr]).toEqual([4, expect.stringMatching(/^pluck: unauthenticated: .*`pluck login URL` signs in\.\n$/)]);
  });

  it("takes the token from stdin, and stores none that isn't valid", async () => {
    const env = { PLUCK_URL: "", PLUCK_TOKEN: "", XDG_CONFIG_HOME: join(out, "config") };
    const wrong = await pluck(["login", system.url, "--token-stdin"], { env, input: "not-a-token\n" });
    expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringMatching(/^pluck: unauthenticated: .*nothing was stored\.\n$/)]);
    expect(await readdir(out)).toEqual([]);
    expect((await pluck(["login", system.url, "--token-stdin", "--json"], { env, input: `${system.token}\n` })).code).toBe(0);
  });
});

describe("looking", () => {
  it("lists VMs, restore points, disks, volumes and folders, by their names", async () => {
    const vms = (await json("vms"))["vms"] as { vm_name: string; restore_points: number }[];
    expect(vms.map((vm) => [vm.vm_name, vm.restore_points])).toEqual(expect.arrayContaining([["pgtest1", 2], ["hostile", 1], [oddVm, 1]]));
    const [found, points, disks, volumes, folder, tree, long] = await Promise.all([
      ok("vms", "pgt"),
      ok("ls", "pgtest1"),
      json("ls", "pgtest1@-1:"),
      ok("ls", "pgtest1:0"),
      ok("ls", "pgtest1:0/p2/home/anna/documents"),
      ok("tree", "pgtest1:0/p2/home", "--depth", "2"),
      ok("ls", "-l", "pgtest1:0/p2/etc"),
    ]);
    expect(found).toMatch(/^VM +POINTS .*\npgtest1 +2 +2025-10-09 19:24:31 +/);
    expect(points).toMatch(new RegExp(`^POINT .*\n@latest +2025-10-09 19:24:31 .*${incrementalBackupId}\n@-1 +2025-10-08 19:24:31 .*${fullBackupId}\n$`));
    expect(((await json("backups", "pgtest1"))["backups"] as { point: string }[]).map(({ point }) => point)).toEqual(["@latest", "@-1"]);
    expect((disks["disks"] as { qcow2_path: string }[]).map((disk) => disk.qcow2_path)).toEqual([repository.disks.full0, repository.disks.full1]);
    expect(volumes).toMatch(/^VOLUME .*\n\/p1 +vfat .* EFI +clean\n\/p2 +ext4 .* testfs +clean\n$/);
    expect(folder).toBe("added-later.txt\nbig.bin\nempty\n");
    expect(tree).toMatch(/^pgtest1:0\/p2\/home\n {2}anna\/\n {4}documents\/\n {4}etc\.link -> \/etc\n/);
    const { size, mtime } = await stat(join(repository.incremental.root, "etc/hosts"));
    expect(long).toContain(`-rw-r--r--  ${(await stat(join(repository.incremental.root, "etc/hosts"))).uid}`);
    expect(long).toMatch(new RegExp(` ${size}  ${mtime.toISOString().slice(0, 19).replace("T", " ")}  hosts\n`));
    expect(await openMounts()).toEqual([]);
  });

  it.each([
    ["pgtest1", "17\n"],
    ["pgtest1@2025-10-08", "16\n"],
  ])("%s names a restore point", async (name, version) => {
    expect(await ok("cat", `${name}:1/disk/PG_VERSION`)).toBe(version);
  });

  it("reaches a VM of any name", async () => {
    // All at once: each may end the mount that another uses.
    const shown = await Promise.all([
      ok("cat", "mail\\@example.net\\:25:3/disk/PG_VERSION"),
      ok("cat", "--vm", oddVm, "3/disk/PG_VERSION"),
      ok("cat", "--backup", "backup-odd", "3/disk/PG_VERSION"),
      ok("ls", "--vm", oddVm, "3/disk"),
    ]);
    expect(shown).toEqual(["16\n", "16\n", "16\n", "base/\nlost+found/\nPG_VERSION\n"]);
    expect(await openMounts()).toEqual([]);
  });

  it("shows names so that they can't be orders to a terminal, and gives them raw where asked", async () => {
    expect(await ok("ls", "hostile:0")).toMatch(/^VOLUME .*\n\/disk +ext4 .*\n\/guest +guest .*\n$/);
    const listing = await ok("ls", "hostile:0/disk/names");
    expect(listing).toContain("\\e[31mred\\e]0;title\\x07\n");
    expect(listing).toContain("gpj.\\u{202e}exe\n");
    expect(listing).toContain("new\\nline\n");
    expect(listing).toContain("gr\\xfc\\xdfe\n");
    for (const shown of [listing, ...(await Promise.all([ok("tree", "hostile:0"), ok("ls", "-l", "hostile:0/disk/names"), ok("stat", `hostile:0/disk/names/${escapeName}`)]))]) {
      expect(shown.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
    const raw = await execa(pluckFile, ["ls", "-0", "hostile:0/disk/names"], { env: environment, encoding: "buffer" });
    const names = await readdir(join(hostile, "names"), { encoding: "buffer" });
    expect(Buffer.from(raw.stdout).equals(Buffer.concat(names.sort(Buffer.compare).flatMap((name) => [name, Buffer.from([0])])))).toBe(true);
    // By the remote name that JSON gives, also one that is not UTF-8 is reached.
    const entries = (await json("ls", "hostile:0/disk/names"))["entries"] as { remote: string; name: string }[];
    const latin1 = entries.find(({ name }) => name.startsWith("gr") && name.endsWith("e"));
    expect(latin1?.name).toContain("\u{fffd}");
    expect(await ok("cat", latin1?.remote ?? "")).toBe("latin1\n");
    expect(entries.map(({ name }) => name)).toEqual(expect.arrayContaining([escapeName, bidiName]));
    const problem = await pluck(["cat", `hostile:0/disk/names/${escapeName}/x`]);
    expect(problem.stderr.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it("prints one JSON document, or a line each where it streams", async () => {
    const info = await json("stat", "--hash", "pgtest1:0/p2/etc/hosts");
    expect(info).toMatchObject({ path: "/p2/etc/hosts", type: "file", remote: `pgtest1@${incrementalBackupId}:0/p2/etc/hosts`, sha256: sha256(await readFile(join(repository.incremental.root, "etc/hosts"))) });
    const lines = (await ok("tree", "--json", "pgtest1:0/p2/etc")).trimEnd().split("\n").map((line) => JSON.parse(line) as { path: string });
    expect(lines.map(({ path }) => path.split("/").at(-1))).toEqual((await readdir(join(repository.incremental.root, "etc"))).toSorted());
    const documents = await Promise.all([["agents"], ["events", "-n", "2"], ["mounts"], ["ls"], ["ls", "pgtest1"], ["ls", "pgtest1:0"]].map(async (command) => Object.keys(await json(...command))));
    expect(documents).toEqual([["agents", "repositories"], ["events"], ["mounts"], ["vms"], ["kind", "remote", "backups"], ["kind", "remote", "backup_id", "disk_index", "volumes", "guests"]]);
  });

  it("sends what cat reads, whole, and ends quietly with its reader", async () => {
    const { stdout } = await execa(pluckFile, ["cat", "pgtest1:0/p2/home/anna/documents/big.bin", "pgtest1@-1:0/p2/etc/hosts"], { env: environment, encoding: "buffer", stripFinalNewline: false });
    expect(sha256(stdout)).toBe(sha256(Buffer.concat([await readFile(join(repository.incremental.root, "home/anna/documents/big.bin")), await readFile(join(repository.full.root, "etc/hosts"))])));
    const piped = await execa("bash", ["-c", '"$1" cat pgtest1:0/p2/home/anna/documents/big.bin | head -c 10 | wc -c; echo "${PIPESTATUS[0]}"', "bash", pluckFile], { env: environment });
    expect([piped.stdout, piped.stderr]).toEqual(["10\n141", ""]);
    expect(await openMounts()).toEqual([]);
  });
});

describe("exit codes", () => {
  it.each<[number, string, string[]]>([
    [2, "usage", ["cat", "pgtest1"]],
    [3, "backup_not_found", ["ls", "nobody:"]],
    [3, "disk_not_found", ["ls", "pgtest1:7/"]],
    [3, "path_not_found", ["cat", "pgtest1:0/p2/nope"]],
    [1, "not_a_file", ["cat", "pgtest1:0/p2/etc"]],
    [4, "volume_locked", ["ls", "locked:0/disk/x"]],
    [4, "unauthenticated", ["vms", "--url", "http://127.0.0.1:1"]],
  ])("%d %s: %j", async (exitCode, code, args) => {
    const env: Record<string, string> = code === "unauthenticated" ? { PLUCK_TOKEN: "" } : {};
    const ran = await pluck(args, { env });
    expect([ran.code, ran.stdout]).toEqual([exitCode, ""]);
    expect(ran.stderr).toMatch(new RegExp(`^pluck: ${code}: [^\n]+\n$`));
  });

  it("and the error as JSON, on stderr, where that is asked for", async () => {
    const ran = await pluck(["cat", "pgtest1:0/p2/nope", "--json"]);
    expect([ran.code, ran.stdout]).toEqual([3, ""]);
    expect(JSON.parse(ran.stderr)).toEqual({ error: { code: "path_not_found", detail: "/p2/nope does not exist.", do: expect.stringContaining("pluck ls") } });
  });

  it("5 where nobody answers, or somebody else", async () => {
    const dead = await freePort();
    const ran = await pluck(["vms", "--url", `http://127.0.0.1:${dead}`]);
    expect([ran.code, ran.stderr]).toEqual([5, expect.stringMatching(/^pluck: unreachable: .*nothing listens there/)]);
    const other = await pluck(["vms", "--url", `${system.url}/elsewhere`]);
    expect([other.code, other.stderr]).toEqual([3, expect.stringMatching(/^pluck: not_found: /)]);
  });
});

describe("get", () => {
  it("brings a tree as it was: contents, times, modes, symlinks, hard links, holes", async () => {
    expect(await ok("get", "pgtest1@-1:0/p2/srv", "pgtest1@-1:0/p2/var", "pgtest1@-1:0/p2/etc", "-o", out)).toMatch(/^1\d{3} files, 3 symlinks: /);
    for (const name of ["srv", "var", "etc"]) await execa("diff", ["-r", "--no-dereference", join(repository.full.root, name), join(out, name)]);
    const [lastlog, source] = await Promise.all([stat(join(out, "var/log/lastlog")), stat(join(repository.full.root, "var/log/lastlog"))]);
    expect([lastlog.size, lastlog.blocks < 1000]).toEqual([source.size, true]);
    await ok("get", "hostile:0/disk/links", "-o", out, "--verify", "sha256");
    const links = join(out, "links");
    const [one, two, own] = await Promise.all([stat(join(links, "one"), { bigint: true }), stat(join(links, "two"), { bigint: true }), stat(links)]);
    expect([one.ino === two.ino, one.mode & 0o777n]).toEqual([true, 0o604n]);
    // mke2fs writes whole seconds.
    expect([one.mtime.toISOString(), (await lstat(join(links, "absolute"))).mtime.toISOString()]).toEqual(["2001-02-03T04:05:06.000Z", "2002-02-03T04:05:06.000Z"]);
    expect([own.mode & 0o777, own.mtime.toISOString()]).toEqual([0o750, "2003-02-03T04:05:06.000Z"]);
    expect([await readlink(join(links, "absolute")), await readlink(join(links, "up"))]).toEqual(["/etc", "../../../../outside"]);
    expect(await openMounts()).toEqual([]);
    // The second time nothing comes, and nothing is in its own way.
    const lines = (await ok("get", "--json", "hostile:0/disk/links", "-o", out)).trimEnd().split("\n").map((line) => JSON.parse(line) as { event: string; result?: string; bytes: number });
    expect(lines.at(-1)).toMatchObject({ event: "summary", failed: 0, bytes: 0, present: 4, skipped: 1 });
  });

  it("takes hostile names as they are, and lists what it can't take", async () => {
    const ran = await pluck(["get", "hostile:0/disk/names", "-o", out]);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^pluck: unsafe_name: \S+\.partial\.pluck-part: .*\npluck: some_failed: 1 of 8 did not come\. .*\n$/);
    const [came, expected] = await Promise.all([readdir(join(out, "names"), { encoding: "buffer" }), readdir(join(hostile, "names"), { encoding: "buffer" })]);
    expect(came.map((name) => name.toString("latin1")).toSorted()).toEqual(expected.map((name) => name.toString("latin1")).filter((name) => !name.endsWith(".pluck-part")).toSorted());
    expect(await readFile(Buffer.concat([Buffer.from(`${out}/names/`), latin1Name]), "utf8")).toBe("latin1\n");
  });

  it("never goes through a symlink that is in the way, nor over a file that is there", async () => {
    await mkdir(join(folder, "outside"), { recursive: true });
    await symlink(join(folder, "outside"), join(out, "etc"));
    const through = await pluck(["get", "pgtest1:0/p2/etc", "-o", out, "--force"]);
    expect([through.code, through.stderr]).toEqual([1, expect.stringContaining("file_exists")]);
    expect(await readdir(join(folder, "outside"))).toEqual([]);
    await writeFile(join(out, "hosts"), "mine");
    const over = await pluck(["get", "pgtest1:0/p2/etc/hosts", "-o", out]);
    expect([over.code, over.stderr]).toEqual([1, expect.stringMatching(/^pluck: file_exists: .*--force\.\n$/s)]);
    expect(await readFile(join(out, "hosts"), "utf8")).toBe("mine");
    await ok("get", "pgtest1:0/p2/etc/hosts", "-o", out, "--force");
    expect(await readFile(join(out, "hosts"), "utf8")).toBe(await readFile(join(repository.incremental.root, "etc/hosts"), "utf8"));
  });

  it("keeps two of one name apart, and says which of many did not come", async () => {
    const ran = await pluck(["get", "pgtest1:0/p2/etc/hosts", "pgtest1@-1:0/p2/etc/hosts", "pgtest1:0/p2/nope", "-o", out, "--force", "--json"]);
    expect(ran.code).toBe(1);
    const lines = ran.stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as { event: string; error?: { code: string }; remote: string });
    expect(lines.filter(({ event }) => event === "failed").map(({ error }) => error?.code).toSorted()).toEqual(["name_clash", "path_not_found"]);
    expect(await readFile(join(out, "hosts"), "utf8")).toBe(await readFile(join(repository.incremental.root, "etc/hosts"), "utf8"));
    expect(JSON.parse(ran.stderr)).toMatchObject({ error: { code: "some_failed" } });
  });

  it("gets what a symlink points to when told to follow, and a volume as it is", async () => {
    await ok("get", "-L", "pgtest1:0/p2/config", "pgtest1:0/p2/etc/hosts.link", "-o", out);
    expect((await lstat(join(out, "config"))).isDirectory()).toBe(true);
    expect(await readFile(join(out, "config/hosts"), "utf8")).toBe(await readFile(join(out, "hosts.link"), "utf8"));
    await ok("get", "--raw", "pgtest1@-1:0/p1", "-o", out);
    expect((await stat(join(out, "p1.img"))).size).toBe(48 * 1024 * 1024);
    await execa("fsck.vfat", ["-n", join(out, "p1.img")], { env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
  });

  it("leaves a part behind when it is interrupted, ends its mount, and goes on from there", async () => {
    for (const signal of ["SIGINT", "SIGKILL"] as const) {
      const target = join(out, signal);
      proxy.hold(6_000_000);
      const running = execa(pluckFile, ["get", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", target], { env: environment, reject: false });
      await proxy.held();
      await eventually("bytes are on the disk", async () => ((await stat(join(target, ".big.bin.pluck-part")).catch(() => undefined))?.size ?? 0) > 2_000_000);
      running.kill(signal);
      proxy.release();
      const ran = await running;
      if (signal === "SIGINT") {
        expect([ran.exitCode, ran.stderr]).toEqual([130, expect.stringMatching(/^pluck: interrupted: /)]);
        expect(await openMounts()).toEqual([]);
      } else {
        expect(ran.signal).toBe("SIGKILL");
      }
      expect(await readdir(target)).toEqual([".big.bin.pluck-part", ".big.bin.pluck-part.etag"]);
      const kept = (await stat(join(target, ".big.bin.pluck-part"))).size;
      expect(kept).toBeGreaterThan(0);
      proxy.hold(Number.POSITIVE_INFINITY);
      const lines = (await ok("get", "--json", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", target)).split("\n");
      expect(JSON.parse(lines[0] ?? "")).toMatchObject({ result: "resumed", bytes: 9_000_001 });
      expect(proxy.sentBytes).toBeLessThan(9_000_001 - kept + 100_000);
      expect(sha256(await readFile(join(target, "big.bin")))).toBe(sha256(await readFile(join(repository.incremental.root, "home/anna/documents/big.bin"))));
      expect(await readdir(target)).toEqual(["big.bin"]);
    }
    await endMounts();
  });

  it("never continues one version with another", async () => {
    proxy.hold(6_000_000);
    const running = execa(pluckFile, ["get", "pgtest1@-1:0/p2/home/anna/documents/big.bin", "-o", out], { env: environment, reject: false });
    await proxy.held();
    running.kill("SIGINT");
    proxy.release();
    await running;
    await ok("get", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", out);
    expect(sha256(await readFile(join(out, "big.bin")))).toBe(sha256(await readFile(join(repository.incremental.root, "home/anna/documents/big.bin"))));
  });

  it("goes on by itself when the agent is killed half-way", async () => {
    proxy.hold(3_000_000);
    const running = execa(pluckFile, ["get", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", out, "--retries", "60"], { env: environment, reject: false });
    await proxy.held();
    for (const pid of await descendantsWith(system.pid, "agent/main.ts")) process.kill(pid, "SIGKILL");
    const ran = await running;
    expect(ran.exitCode, ran.stderr).toBe(0);
    expect(ran.stderr).toContain("Trying again.");
    expect(sha256(await readFile(join(out, "big.bin")))).toBe(sha256(await readFile(join(repository.incremental.root, "home/anna/documents/big.bin"))));
  });

  it("opens a disk again that somebody ended half-way", async () => {
    proxy.hold(3_000_000);
    const running = execa(pluckFile, ["get", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", out], { env: environment, reject: false });
    await proxy.held();
    await endMounts();
    proxy.release();
    const ran = await running;
    expect(ran.exitCode, ran.stderr).toBe(0);
    expect(sha256(await readFile(join(out, "big.bin")))).toBe(sha256(await readFile(join(repository.incremental.root, "home/anna/documents/big.bin"))));
  });

  it("gives up with a clear error when nobody is there any more", async () => {
    proxy.hold(3_000_000);
    const running = execa(pluckFile, ["get", "pgtest1:0/p2/home/anna/documents", "-o", out, "--retries", "1"], { env: environment, reject: false });
    await proxy.held();
    proxy.down();
    const ran = await running;
    proxy.up();
    expect([ran.exitCode, ran.stderr]).toEqual([5, expect.stringMatching(/\npluck: unreachable: [^\n]+$/)]);
    expect(await readdir(join(out, "documents"))).not.toContain("big.bin");
    expect(await ok("get", "pgtest1:0/p2/home/anna/documents", "-o", out)).toMatch(/files?/);
    await execa("diff", ["-r", join(repository.incremental.root, "home/anna/documents"), join(out, "documents")]);
  });

  it("waits for an export slot, and names the code when there is none", async () => {
    await endMounts();
    await eventually("all slots are free", async () => (await system.api("GET", "/restore/resources")).body.agents[0].slots_used === 0);
    await ok("mount", "pgtest1:0", "pgtest1:1", "pgtest1@-1:0");
    const refused = await pluck(["get", "pgtest1@-1:1/disk/PG_VERSION", "-o", out, "--wait", "0"]);
    expect([refused.code, refused.stderr]).toEqual([5, expect.stringContaining("nbd_devices_exhausted")]);
    const waiting = execa(pluckFile, ["get", "pgtest1@-1:1/disk/PG_VERSION", "-o", out], { env: environment, reject: false });
    await new Promise<void>((done) => waiting.stderr.on("data", () => done()));
    expect(await ok("umount", "pgtest1:1")).toBe("Ended 1 mount.\n");
    const ran = await waiting;
    expect([ran.exitCode, ran.stderr]).toEqual([0, "All export slots are taken; waiting for one."]);
    expect(await readFile(join(out, "PG_VERSION"), "utf8")).toBe("16\n");
    // What others had open stays open.
    expect(await openMounts()).toHaveLength(2);
    await ok("umount", ...(await openMounts()));
    expect(await openMounts()).toEqual([]);
  });

  it("streams one archive of several disks and restore points, and keeps none that broke off", async () => {
    const archive = join(out, "all.tar");
    await ok("get", "--archive", "tar", "pgtest1:0/p2/etc", "pgtest1@-1:0/p2/etc/hosts", "-o", archive);
    const { stdout } = await execa("tar", ["-tf", archive]);
    expect(stdout.split("\n").filter((name) => name.endsWith("etc/hosts"))).toHaveLength(2);
    expect((await pluck(["get", "--archive", "tar", "pgtest1:0/p2/etc", "-o", archive])).stderr).toMatch(/^pluck: file_exists: /);
    const listed = await execa("bash", ["-c", '"$1" get --archive tar.gz pgtest1:0/p2/srv/many | tar -tz | wc -l', "bash", pluckFile], { env: environment });
    expect(Number(listed.stdout)).toBeGreaterThanOrEqual(1500);
    proxy.hold(3_000_000);
    const running = execa(pluckFile, ["get", "--archive", "zip", "pgtest1:0/p2/home", "-o", join(out, "broken.zip")], { env: environment, reject: false });
    await proxy.held();
    proxy.down();
    const ran = await running;
    proxy.up();
    expect([ran.exitCode, ran.stderr]).toEqual([1, expect.stringMatching(/^pluck: incomplete: /)]);
    expect(await readdir(out)).toEqual(["all.tar"]);
    expect(await openMounts()).toEqual([]);
  });
});

describe("on a terminal", () => {
  it("shows a bar with sizes, rate and time left, and a line at the end", async () => {
    proxy.hold(4_000_000);
    const terminal = openTerminal([pluckFile, "get", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", out], environment);
    await proxy.held();
    await terminal.shows(/\d+%  [\d.]+ [KM]iB of 8\.6 MiB  [\d.]+ [KM]iB\/s  \d+:\d\d left/);
    proxy.release();
    await terminal.shows(/1 file: 8\.6 MiB in \d+:\d\d/);
    expect(await terminal.ended()).toBe(0);
    expect((await stat(join(out, "big.bin"))).size).toBe(9_000_001);
  });

  it("stops at Ctrl-C, and says how to go on", async () => {
    proxy.hold(4_000_000);
    const terminal = openTerminal([pluckFile, "get", "pgtest1:0/p2/home/anna/documents/big.bin", "-o", out], environment);
    await proxy.held();
    await terminal.shows(/MiB/);
    terminal.type("\u0003");
    await terminal.shows(/interrupted: /);
    expect(await terminal.ended()).toBe(130);
    proxy.release();
    expect(await readdir(out)).toContain(".big.bin.pluck-part");
    expect(await openMounts()).toEqual([]);
  });

  it("shows control characters of a file instead of sending them", async () => {
    await writeFile(join(out, "x"), "");
    const terminal = openTerminal([pluckFile, "cat", "hostile:0/disk/names/new\nline", "pgtest1:1/disk/base/16384"], environment);
    expect(await terminal.ended()).toBe(0);
    expect(terminal.output().replace(/\r\n/g, "")).not.toMatch(/[\x00-\x08\x0b-\x1f]/);
  });

  it("completes commands, options and remote names in bash", async () => {
    const terminal = openTerminal(["bash", "--norc", "--noprofile", "-i"], { ...environment, PLUCK_COMPLETE_MS: "60000", PATH: `${join(project, "cli")}:${process.env["PATH"]}` });
    await terminal.shows(/# |\$ |> /);
    terminal.type("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; source <(pluck completion bash); echo l''oaded\r");
    await terminal.shows(/[\r\n]loaded\r\n/);
    for (const [typed, shown] of [
      ["pluck unl\t", /unlock /],
      ["loc\t", /locked:/],
      ["0\t", /0\//],
      ["di\t", /disk/],
      ["\u0015pluck get --arch\t", /--archive /],
      ["tar.z\t", /tar\.zst /],
      ["pgtest1@2025-10-08\t", /2025-10-08:/],
      ["1/d\t", /1\/disk\//],
      ["PG\t", /PG_VERSION /],
      ["pgtest1:0/p2/srv/odd/wi\t", /with\\ space /],
      ["mail\t", /mail\\\\@example\.net\\\\:25:/],
    ] as const) {
      terminal.type(typed);
      await terminal.shows(shown);
    }
    terminal.type("\u0015pluck cat pgtest1:1/disk/PG_V\t\r");
    await terminal.shows(/\n17\r\n/);
    terminal.type("exit\r");
    expect(await terminal.ended()).toBe(0);
  });

  it("completes nothing, and says nothing, when nobody answers", async () => {
    const ran = await pluck(["__complete", "bash", "pluck ls pgt"], { env: { PLUCK_URL: `http://127.0.0.1:${await freePort()}` } });
    expect(ran).toEqual({ code: 0, stdout: "", stderr: "" });
    const words = await pluck(["__complete", "zsh", "ls", "pgtest1@"]);
    expect(words.stdout.split("\n")).toEqual(expect.arrayContaining(["pgtest1@latest:", "pgtest1@-1:", "pgtest1@2025-10-08:"]));
  });
});

describe("mounts, keys and links", () => {
  it("unlocks a volume by a passphrase that is not shown, and reads it until the mount ends", async () => {
    expect(await ok("ls", "locked:0")).toMatch(/\/disk +.*volume_locked: /);
    const wrong = await pluck(["unlock", "locked:0/disk", "--passphrase-stdin"], { input: "wrong\n" });
    expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringMatching(/^pluck: wrong_key: /)]);
    const terminal = openTerminal([pluckFile, "unlock", "locked:0/disk"], environment);
    await terminal.shows(/Passphrase for locked:0\/disk: /);
    terminal.type(`${passphrase}\r`);
    await terminal.shows(/\/disk is unlocked until mount mnt-\S+ ends/);
    expect(await terminal.ended()).toBe(0);
    expect(terminal.output()).not.toContain(passphrase);
    expect(await ok("cat", "locked:0/disk/secret.txt")).toBe("behind the lock\n");
    await ok("umount", "locked:0");
    const keyFile = join(out, "key");
    await writeFile(keyFile, passphrase);
    await ok("unlock", "locked:0/disk", "--key-file", keyFile);
    await ok("get", "locked:0/disk/secret.txt", "-o", out);
    expect(await readFile(join(out, "secret.txt"), "utf8")).toBe("behind the lock\n");
    await endMounts();
  });

  it("hands out links that need no token", async () => {
    const made = await pluck(["link", "pgtest1@-1:0/p2/etc/hosts", "--ttl", "10m"]);
    expect(made.stderr).toMatch(/^Good until 20\d\d-.*, as long as mount mnt-\S+ is open\.\n$/);
    expect(await (await fetch(made.stdout.trim())).text()).toBe(await readFile(join(repository.full.root, "etc/hosts"), "utf8"));
    const zip = (await json("link", "pgtest1@-1:0/p2/etc"))["url"] as string;
    expect(Buffer.from(await (await fetch(zip)).arrayBuffer()).subarray(0, 2).toString()).toBe("PK");
    expect(((await json("mounts"))["mounts"] as unknown[]).length).toBe(1);
    await endMounts();
  });

  it("registers the same backup again without harm, scans, and tells of it all in the events", async () => {
    const { id } = (await system.api("GET", "/repositories")).body.repositories[0] as { id: string };
    expect(await ok("register", oddVm, "--repository", id, "--id", "backup-odd", "--disk", `3=${repository.disks.full1}`)).toBe("backup-odd was registered already.\n");
    expect(await ok("scan", id)).toMatch(new RegExp(`^${id}: \\d+ new restore points?, \\d+ known, 0 problems`));
    expect(await ok("agents")).toMatch(/^AGENT .*\nlocal +local .* online /);
    expect(await ok("events", "--type", "mount", "-n", "1")).toMatch(/^AT .*\n20\d\d-\d\d-\d\d .* mount +admin +complete /);
  });
});
