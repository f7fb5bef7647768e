import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { exportJWK, generateKeyPair } from "jose";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createAgentApp } from "../../agent/http/app.ts";
import { createAgentMetrics } from "../../agent/http/metrics.ts";
import { listenForClients } from "../../agent/http/server.ts";
import { createOpenMounts } from "../../agent/mounts/open-mounts.ts";
import type { OpenMounts, OpenRequest } from "../../agent/mounts/open-mount.ts";
import { agentRoutes, linkUrl, openLinkSigner, signLink, type AgentRoute, type LinkSigner } from "../../shared/link.ts";
import type { AgentEvent } from "../../shared/messages.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { soon } from "../tools/soon.ts";

// Property: a job wins over a mount, and whoever is downloading meanwhile gets the backup's bytes or a
// broken transfer, never a whole one with others.

requireTools("qemu-img", "qemu-io", "qemu-nbd", "mkfs.ext4", "curl", "tar");
const bigBytes = 24 << 20;

let folder: string;
let repositoryRoot: string;
let big: Buffer;
let signer: LinkSigner;
let jwks: OpenRequest["jwks"];
let mounts: OpenMounts;
let lost: [string, Error][];
let events: AgentEvent[];
let server: { url: string; close: () => Promise<void> };

beforeAll(async () => {
  folder = await temporaryFolder();
  repositoryRoot = join(folder, "repository");
  const tree = join(folder, "tree");
  await mkdir(join(tree, "many"), { recursive: true });
  await mkdir(join(repositoryRoot, "vm/disk-0"), { recursive: true });
  await mkdir(join(folder, "keep"));
  big = randomBytes(bigBytes);
  await writeFile(join(tree, "big"), big);
  for (let index = 0; index < 50; index += 1) await writeFile(join(tree, `many/${index}`), `file ${index}\n`);
  const raw = join(folder, "disk.raw");
  await writeFile(raw, "");
  await truncate(raw, 64 << 20);
  await execa("mkfs.ext4", ["-q", "-F", "-d", tree, raw]);
  await execa("qemu-img", ["convert", "-O", "qcow2", raw, join(folder, "keep/full.qcow2")]);
  const overlay = join(folder, "keep/inc.qcow2");
  await execa("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "full.qcow2", "-F", "qcow2", overlay]);
  // All over the disk: a commit of it takes its time and spoils every file.
  await execa("qemu-io", ["-f", "qcow2", "-c", "write -P 0x5a 16M 40M", overlay]);
  const keys = await generateKeyPair("EdDSA", { extractable: true });
  signer = await openLinkSigner({ ...(await exportJWK(keys.privateKey)), kid: "k" });
  jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k" } as { kty: string; kid: string }] };
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  for (const name of ["full.qcow2", "inc.qcow2"]) await copyFile(join(folder, "keep", name), file(name));
  mounts = createOpenMounts({ repositoryRoot, runDir: join(folder, "run"), slots: 2 });
  lost = [];
  events = [];
  mounts.onLost((mountId, error) => lost.push([mountId, error]));
  const app = createAgentApp({ agentId: "a", mounts, logger: pino({ level: "silent" }), metrics: createAgentMetrics(mounts), report: (event) => void events.push(event) });
  const listening = await listenForClients(app, { host: "127.0.0.1", port: 0 });
  server = { url: `http://127.0.0.1:${listening.port}`, close: async () => await listening.close(0) };
});
afterEach(async () => {
  await server.close();
  await mounts.close();
});

const file = (name: string) => join(repositoryRoot, "vm/disk-0", name);
const request = (mountId: string, name = "full.qcow2"): OpenRequest => ({ mountId, qcow2Path: `vm/disk-0/${name}`, jwks, webOrigin: null });
const commit = async () => await execa("qemu-img", ["commit", "-q", "-f", "qcow2", file("inc.qcow2")]);

async function link(route: AgentRoute, path: string, format?: "tar" | "zip"): Promise<string> {
  const more = format === undefined ? {} : { format };
  const { token } = await signLink(signer, { agentId: "a", mountId: "m1", operation: agentRoutes[route], path, user: "tester", ...more }, 300);
  return linkUrl(server.url, "m1", route, { path, token, ...more });
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !condition(); ) {
    if (Date.now() > end) throw new Error("it did not come about in 10 s");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("qemu-img commit into the base of an open disk", () => {
  it("succeeds; the mount ends as backup_in_use, and its slot is free", async () => {
    const mount = await mounts.open(request("m1"));
    await commit();
    await until(() => lost.length === 1);
    expect(lost[0]).toMatchObject(["m1", { code: "backup_in_use", message: expect.stringContaining("vm/disk-0/full.qcow2") }]);
    expect(mount.ended.reason).toMatchObject({ code: "backup_in_use" });
    await expect(mount.assertUnchanged()).rejects.toMatchObject({ code: "backup_in_use" });
    expect(mounts.list()).toEqual([]);
    expect(await readdir(join(folder, "run"))).toEqual([]);
    expect((await mounts.open(request("m2"))).nbdDevice).toBe("nbd0");
  });

  it("is not opened again under the id that lost it, until that was ended", async () => {
    await mounts.open(request("m1"));
    await commit();
    await until(() => lost.length === 1);
    await expect(mounts.open(request("m1"))).rejects.toMatchObject({ code: "backup_in_use" });
    await mounts.end("m1");
    expect((await mounts.open(request("m1"))).mountId).toBe("m1");
  });

  it("breaks off downloads and archives under way, and none is whole with other bytes", async () => {
    const target = join(folder, "target");
    let whole = 0;
    let broken = 0;
    for (let round = 0; round < 8; round += 1) {
      for (const name of ["full.qcow2", "inc.qcow2"]) await copyFile(join(folder, "keep", name), file(name));
      await mounts.end("m1");
      await mounts.open(request("m1"));
      const url = round % 2 === 0 ? await link("download", "/disk/big") : await link("archive", "/disk", "tar");
      const downloading = execa("curl", ["-sSf", "-o", target, url], { reject: false });
      await new Promise((resolve) => setTimeout(resolve, round * 15));
      await commit();
      const { exitCode } = await downloading;
      if (exitCode !== 0) {
        broken += 1;
        continue;
      }
      whole += 1;
      const bytes = round % 2 === 0 ? await readFile(target) : (await execa("tar", ["-xOf", target, "disk/big"], { encoding: "buffer", maxBuffer: 2 * bigBytes })).stdout;
      expect(big.equals(bytes)).toBe(true);
    }
    expect(whole + broken).toBe(8);
    expect(broken).toBeGreaterThan(0);
  });

  it("breaks off a slow download that has most of its file already", async () => {
    await mounts.open(request("m1"));
    const downloading = execa("curl", ["-sSf", "--limit-rate", "8M", "-o", join(folder, "slow"), await link("download", "/disk/big")], { reject: false });
    await soon(async () => expect((await stat(join(folder, "slow"))).size).toBeGreaterThan(0));
    await commit();
    const { exitCode } = await downloading;
    expect(exitCode).toBe(18);
    expect(events).toMatchObject([{ type: "transfer_finished", outcome: "backup_in_use" }]);
  });
});

it("a deletion ends the mount; what comes next is missing", async () => {
  await mounts.open(request("m1"));
  await unlink(file("full.qcow2"));
  await until(() => lost.length === 1);
  expect(lost[0]).toMatchObject(["m1", { code: "backup_in_use" }]);
  await expect(mounts.open(request("m2"))).rejects.toMatchObject({ code: "qcow2_missing" });
});

it("a next incremental and readers leave the mount alone", async () => {
  const mount = await mounts.open(request("m1", "inc.qcow2"));
  await execa("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "inc.qcow2", "-F", "qcow2", file("next.qcow2")]);
  await execa("qemu-io", ["-f", "qcow2", "-c", "write -P 1 0 8M", file("next.qcow2")]);
  await execa("qemu-img", ["convert", "-O", "raw", file("inc.qcow2"), join(folder, "out.raw")]);
  expect((await mounts.open(request("m2"))).nbdDevice).toBe("nbd1");
  expect((await fetch(await link("files", "/"))).status).toBe(200);
  expect(mount.ended.aborted).toBe(false);
  expect(lost).toEqual([]);
  await unlink(file("next.qcow2"));
});
