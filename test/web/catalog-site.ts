import { link, mkdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { execa } from "execa";
import mysql from "mysql2/promise";
import { makeRepository } from "../system/repository.ts";
import { eventually, type System } from "../system/system.ts";
import { makeLuksImage } from "../tools/luks-image.ts";
import { buildPage, startSystemWithPage } from "./browser.ts";

// A system with what the page has to show: two sites, one of which can be killed; full, incremental,
// incomplete and failed restore points; a volume that is locked.

const mebibyte = 1024 * 1024;
export const vaultPassphrase = "correct horse battery";
/** Markup, and a mark that turns the direction of what follows. */
const hostileLabel = "<i>in\u202e";
export const slots = 3;

export interface CatalogSite {
  readonly system: System;
  /** Puts the backups into the repository of the first site, which is empty until then. */
  fillRepository(): Promise<void>;
  /** A restore point of pgtest1 that failed, as an adopted catalog may have it. */
  addFailedBackup(): Promise<void>;
  /** The file of disk 0 of the incomplete restore point goes away behind Pluck's back. */
  removeDisk(): Promise<void>;
  /** A second site with a repository of its own. */
  startSecondSite(): Promise<void>;
  /** Its agent dies. */
  killSecondSite(): Promise<void>;
  stop(): Promise<void>;
}

export async function startCatalogSite(folder: string): Promise<CatalogSite> {
  const home = join(folder, "home");
  const local = join(folder, "local");
  const remote = join(folder, "remote");
  await mkdir(local);
  const brokerPort = await freePort();
  const [repository] = await Promise.all([makeRepository(folder), makeVault(folder), buildPage()]);
  const system = await startSystemWithPage(home, { PLUCK_REPOSITORY: local, PLUCK_NBD_SLOTS: String(slots), PLUCK_BROKER_PORT: String(brokerPort) });
  const agents: { kill(signal: NodeJS.Signals): boolean; ended: Promise<unknown> }[] = [];
  const place = async (from: string, root: string, path: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await link(from, join(root, path));
  };

  return {
    system,
    async fillRepository() {
      for (const path of Object.values(repository.disks)) await place(join(repository.path, path), local, path);
      // Disk 1 of the newest one holds no image.
      await place(join(repository.path, repository.disks.full0), local, "pgtest1/disk-0/backup-pgtest1-disk0-20251010-192431.qcow2");
      await mkdir(join(local, "pgtest1/disk-1"), { recursive: true });
      await writeFile(join(local, "pgtest1/disk-1/backup-pgtest1-disk1-20251010-192431.qcow2"), "this is no qcow2 file\n".repeat(100));
      await place(join(folder, "vault.qcow2"), local, "vault/disk-0/vault-disk0-20251008-192431.qcow2");
    },
    async addFailedBackup() {
      const connection = await mysql.createConnection({ socketPath: join(home, "database/mariadb.sock"), user: "root", database: "pluck" });
      const [contexts] = await connection.execute<mysql.RowDataPacket[]>("SELECT context_id AS id FROM vm_backup_contexts WHERE vm_name = 'pgtest1'");
      const id = String(contexts[0]?.["id"]);
      await connection.execute("INSERT INTO backup_jobs (id, vm_backup_context_id, vm_name, backup_type, status, created_at) VALUES ('backup-failed', ?, 'pgtest1', 'incremental', 'failed', '2025-10-11 19:24:31')", [id]);
      await connection.execute("INSERT INTO backup_disks (vm_backup_context_id, backup_job_id, disk_index, size_gb, status) VALUES (?, 'backup-failed', 0, 1, 'failed')", [id]);
      await connection.end();
    },
    async removeDisk() {
      await rm(join(local, "pgtest1/disk-0/backup-pgtest1-disk0-20251010-192431.qcow2"));
    },
    async startSecondSite() {
      for (const name of ["fileserver", "mailserver"]) await place(join(repository.path, repository.disks.full1), remote, `${name}/disk-0/${name}-disk0-20251008-192431.qcow2`);
      await system.api("POST", "/repositories", { id: "porto", name: "Porto" });
      const password = String((await system.api("POST", "/agents", { id: "porto-1", repository_id: "porto" })).body.broker_password);
      const child = execa(process.execPath, ["agent/main.ts"], {
        cwd: join(import.meta.dirname, "../.."),
        env: {
          PLUCK_HOME: join(folder, "porto"), PLUCK_AGENT_ID: "porto-1", PLUCK_REPOSITORY_ID: "porto", PLUCK_REPOSITORY: remote,
          PLUCK_BROKER_URL: `mqtt://127.0.0.1:${brokerPort}`, PLUCK_BROKER_USERNAME: "porto-1", PLUCK_BROKER_PASSWORD: password,
          PLUCK_AGENT_PORT: "0", PLUCK_HEARTBEAT_S: "0.5",
        },
        reject: false,
        stdio: "ignore",
      });
      agents.push({ kill: (signal) => child.kill(signal), ended: child });
      await eventually("the second site is online", async () => (await system.api("GET", "/agents")).body.agents.some((agent: { id: string; online: boolean }) => agent.id === "porto-1" && agent.online), 90_000);
    },
    async killSecondSite() {
      for (const agent of agents) agent.kill("SIGKILL");
      await Promise.all(agents.map(({ ended }) => ended));
    },
    async stop() {
      for (const agent of agents) agent.kill("SIGKILL");
      await Promise.all(agents.map(({ ended }) => ended));
      await system.stop();
    },
  };
}

/** A disk with a readable volume, a LUKS one (made by QEMU, which needs no device-mapper) and one of which nothing is known. */
async function makeVault(folder: string): Promise<void> {
  const tree = join(folder, "vault-tree");
  await mkdir(tree);
  await writeFile(join(tree, "secret.txt"), "in the vault\n");
  const plain = join(folder, "vault-plain");
  await execa("mke2fs", ["-q", "-t", "ext4", "-F", "-d", tree, "-L", hostileLabel, plain, "4M"]);
  const locked = join(folder, "vault-luks");
  await makeLuksImage(plain, locked, vaultPassphrase);
  const disk = join(folder, "vault-disk");
  const parts = [plain, locked];
  const sizes = await Promise.all(parts.map(async (part) => Math.ceil((await stat(part)).size / mebibyte)));
  const starts = sizes.map((_, index) => 1 + sizes.slice(0, index).reduce((sum, size) => sum + size, 0));
  const end = 1 + sizes.reduce((sum, size) => sum + size, 0);
  await writeFile(disk, "");
  await truncate(disk, (end + 3) * mebibyte);
  const table = [...starts.map((start, index) => `start=${start}MiB, size=${sizes[index]}MiB, type=L\n`), `start=${end}MiB, size=1MiB, type=L\n`];
  await execa("sfdisk", ["--quiet", disk], { input: `label: gpt\n${table.join("")}` });
  for (const [index, part] of parts.entries()) await execa("dd", [`if=${part}`, `of=${disk}`, "bs=1M", `seek=${starts[index]}`, "conv=notrunc,sparse", "status=none"]);
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", disk, join(folder, "vault.qcow2")]);
  for (const file of [plain, locked, disk]) await rm(file);
  await rm(tree, { recursive: true });
}

/** For comparison with what the page downloads raw. */
export async function readVaultImage(folder: string): Promise<Buffer> {
  const raw = join(folder, "vault-raw");
  await execa("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", join(folder, "vault.qcow2"), raw]);
  return await readFile(raw);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
