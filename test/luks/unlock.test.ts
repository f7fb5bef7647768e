import { mkdir, mkdtemp, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Listing, Mount } from "../../shared/api.ts";
import { descendantsWith, eventually, processesWith, startSystem, type System } from "../system/system.ts";
import { hasTool } from "../tools/environment.ts";
import { rawFromQcow2, sharedImages } from "../tools/shared-images.ts";
import { addArgon2Key, cryptsetup, hasCryptsetup, makeExt4, makeLuks1, passphrase, toLuks2 } from "./images.ts";

// Property: an encrypted volume shows its files to whoever gives its key over REST, to nobody else, and the key stays
// nowhere: not in the logs, the database or what the broker carries.

const isThere = await hasCryptsetup();
const lvmImage = sharedImages("lvm").find(({ name }) => name === "lvm/dfvfs_lvm");
const secret = "vault-passphrase-7391";
const mebibyte = 1024 * 1024;
const vmName = "vault";
const path = "vault/disk-0/vault-disk0.qcow2";

describe.skipIf(!isThere)("unlocking over REST (passed over: no cryptsetup)", () => {
  let folder: string;
  let system: System;
  let mount: Mount;
  let uuid: string;

  beforeAll(async () => {
    folder = await mkdtemp("/dev/shm/pluck-unlock-");
    const images = join(folder, "images");
    await mkdir(images);
    const open = join(images, "open");
    const plain = join(images, "plain");
    await makeExt4(images, open, "for everybody\n");
    await makeExt4(images, plain, "in the vault\n");
    const luks1 = join(images, "luks1");
    const luks2 = join(images, "luks2");
    await makeLuks1(images, plain, luks1);
    await toLuks2(luks1, luks2);
    await addArgon2Key(images, luks2, "argon2id", secret);
    uuid = (await cryptsetup("luksUUID", luks2)).trim();
    const parts = [open, luks2];
    if (lvmImage !== undefined) {
      const lvm = join(images, "luks-lvm");
      await makeLuks1(images, await rawFromQcow2(lvmImage.qcow2Path), lvm);
      parts.push(lvm);
    }
    await writeDisk(parts, join(images, "disk"));
    const repository = join(folder, "repository");
    await mkdir(join(repository, "vault/disk-0"), { recursive: true });
    await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", join(images, "disk"), join(repository, path)]);
    system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository, PLUCK_LOG_LEVEL: "trace" });
    const site = (await system.api("GET", "/repositories")).body.repositories[0].id;
    const reply = await system.api("POST", "/backups", {
      vm_name: vmName, repository_id: site, backup_id: "backup-vault", completed_at: "2026-10-08T19:24:31Z", disks: [{ disk_index: 0, qcow2_path: path }],
    });
    expect([200, 201, 409], JSON.stringify(reply.body)).toContain(reply.status);
    mount = await system.mount("backup-vault");
  });
  afterAll(async () => {
    await system?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const unlock = async (body: unknown) => await system.api("POST", `/restore/${mount.mount_id}/unlock`, body);
  const follow = async (route: string) => await system.follow(`/restore/${mount.mount_id}/${route}`);

  it("lists the volume as locked, with its UUID, and refuses to look into it", async () => {
    expect(mount.volumes.find(({ name }) => name === "p2")).toMatchObject({ filesystem_type: "crypto_LUKS", readable: false, uuid, error: { code: "volume_locked" } });
    const listing = await follow("files?path=/p2");
    expect([listing.status, (await listing.json() as { code: string }).code]).toEqual([409, "volume_locked"]);
    const top = (await (await follow("files?path=/")).json()) as Listing;
    expect(top.entries.find(({ name }) => name === "p2")?.error?.code).toBe("volume_locked");
    expect(await (await follow("download?path=/p1/secret.txt")).text()).toBe("for everybody\n");
  });

  it("refuses what is no request, no such volume, and one that isn't encrypted", async () => {
    for (const [body, status, code] of [
      [{ volume: "p2" }, 400, "invalid_request"],
      [{ volume: "p2", passphrase: secret, key: "AAAA" }, 400, "invalid_request"],
      [{ volume: "p2", key: "not base64!" }, 400, "invalid_request"],
      [{ volume: "p9", passphrase: secret }, 404, "path_not_found"],
      [{ volume: "p1", passphrase: secret }, 400, "invalid_request"],
    ] as const) {
      const reply = await unlock(body);
      expect([reply.status, reply.body.code]).toEqual([status, code]);
      expect(JSON.stringify(reply.body)).not.toContain(secret);
    }
    expect((await system.api("POST", `/restore/${mount.mount_id}/unlock`, { volume: "p2", passphrase: secret }, { token: null })).status).toBe(401);
  });

  it("answers a wrong key with wrong_key, and opens the volume with the right one", async () => {
    const wrong = await unlock({ volume: "p2", passphrase: `${secret}x` });
    expect([wrong.status, wrong.body.code]).toEqual([403, "wrong_key"]);
    const right = await unlock({ volume: "p2", passphrase: secret });
    expect(right.status, JSON.stringify(right.body)).toBe(200);
    const unlocked = { name: "p2", filesystem_type: "ext4", label: "inner", readable: true, error: null };
    expect((right.body as Mount).volumes.find(({ name }) => name === "p2")).toMatchObject(unlocked);
    expect(await (await follow("download?path=/p2/secret.txt")).text()).toBe("in the vault\n");
    const shown = (await system.api("GET", `/restore/${mount.mount_id}`)).body as Mount;
    expect(shown.volumes.find(({ name }) => name === "p2")).toMatchObject(unlocked);
    expect(shown.filesystem_type).toMatch(/^ext4,ext4/);
    // Nothing to do any more: no key is looked at.
    expect((await unlock({ volume: "p2", passphrase: "anything" })).status).toBe(200);
  });

  it.skipIf(lvmImage === undefined)("shows the logical volumes inside an encrypted one, opened by the bytes of a keyfile (passed over: no shared images)", async () => {
    const reply = await unlock({ volume: "p3", key: Buffer.from("correct horse").toString("base64") });
    expect(reply.status, JSON.stringify(reply.body)).toBe(200);
    const { volumes } = reply.body as Mount;
    expect(volumes.find(({ name }) => name === "test_volume_group-test_logical_volume1")).toMatchObject({ readable: true, kind: "logical-volume" });
    expect(volumes.find(({ name }) => name === "p3")).toMatchObject({ readable: false, error: { detail: expect.stringContaining("test_volume_group-test_logical_volume1") } });
    const listing = (await (await follow("files?path=/test_volume_group-test_logical_volume1")).json()) as Listing;
    expect(listing.entries.map(({ name }) => name)).toContain("passwords.txt");
  });

  it("writes who unlocked what into the audit trail, and the key nowhere", async () => {
    const { body } = await system.api("GET", "/events?type=unlocked");
    const events = body.events as { type: string; path: string; outcome: string; mount_id: string; actor: string }[];
    expect(events.filter((event) => event.path === "p2").map(({ outcome }) => outcome)).toEqual(expect.arrayContaining(["complete", "wrong_key"]));
    expect(events.every((event) => event.mount_id === mount.mount_id && event.actor !== "")).toBe(true);
    const forms = [secret, Buffer.from(secret).toString("base64").slice(0, 24), Buffer.from(secret).toString("hex")];
    for (const form of forms) {
      expect(system.logs()).not.toContain(form);
      expect(JSON.stringify(body)).not.toContain(form);
      const found = await execa("grep", ["-rlaF", form, join(folder, "home")], { reject: false });
      expect(found.stdout).toBe("");
    }
  });

  it("is locked again once the agent was restarted, and opens again", async () => {
    const [agent] = await descendantsWith(system.pid, "agent/main.ts");
    if (agent === undefined) throw new Error("the system has no agent process");
    process.kill(agent, "SIGKILL");
    const locked = await eventually("the mount is open again, and locked", async () => {
      const { body } = await system.api("GET", `/restore/${mount.mount_id}`);
      return body.status === "mounted" && (body as Mount).volumes.find(({ name }) => name === "p2")?.error?.code === "volume_locked";
    }, 60_000);
    expect(locked).toBe(true);
    const again = await unlock({ volume: "p2", passphrase: secret });
    expect(again.status, JSON.stringify(again.body)).toBe(200);
    expect(await (await follow("download?path=/p2/secret.txt")).text()).toBe("in the vault\n");
  });

  it("slows down guessing, also over a new mount of the same disk", async () => {
    if (lvmImage === undefined) return;
    await system.api("DELETE", `/restore/${mount.mount_id}`);
    mount = await system.mount("backup-vault");
    const codes: string[] = [];
    for (let attempt = 0; attempt < 6; attempt += 1) codes.push((await unlock({ volume: "p3", passphrase: `guess ${attempt}` })).body.code);
    expect(codes).toEqual([...Array<string>(5).fill("wrong_key"), "too_many_attempts"]);
    await system.api("DELETE", `/restore/${mount.mount_id}`);
    mount = await system.mount("backup-vault");
    const reply = await unlock({ volume: "p3", passphrase: "correct horse" });
    expect([reply.status, reply.body.code]).toEqual([429, "too_many_attempts"]);
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  it.skipIf(!hasTool("mkfs.btrfs"))("opens with one key what lies in encrypted volumes of two disks, and ends with the mount (passed over: no btrfs-progs)", async () => {
    const plain = [0, 1].map((disk) => join(folder, "images", `pair-${disk}`));
    for (const one of plain) {
      await writeFile(one, "");
      await truncate(one, 80 * mebibyte);
    }
    await execa("mkfs.btrfs", ["-q", "-f", "--mixed", "-n", "4096", "-d", "raid0", "-m", "raid0", "-L", "pair", ...plain], { env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` } });
    for (const [disk, one] of plain.entries()) {
      const encrypted = `${one}-encrypted`;
      await makeLuks1(join(folder, "images"), one, encrypted);
      await mkdir(join(folder, `repository/pair/disk-${disk}`), { recursive: true });
      await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", encrypted, join(folder, `repository/pair/disk-${disk}/pair.qcow2`)]);
      await rm(encrypted);
    }
    const site = (await system.api("GET", "/repositories")).body.repositories[0].id;
    const disks = [0, 1].map((disk) => ({ disk_index: disk, qcow2_path: `pair/disk-${disk}/pair.qcow2` }));
    const reply = await system.api("POST", "/backups", { vm_name: "pair", repository_id: site, backup_id: "backup-pair", completed_at: "2026-10-08T19:24:31Z", disks });
    expect([200, 201, 409], JSON.stringify(reply.body)).toContain(reply.status);
    const servedCount = async () => (await processesWith("qemu-nbd", folder)).length;
    await eventually("only the first mount is served", async () => (await servedCount()) === 1);
    const pair = await system.mount("backup-pair");
    expect(pair.volumes.map(({ name, error }) => [name, error?.code])).toEqual([["disk", "volume_locked"]]);
    expect(await servedCount()).toBe(2);
    const opened = await system.api("POST", `/restore/${pair.mount_id}/unlock`, { volume: "disk", passphrase });
    expect(opened.status, JSON.stringify(opened.body)).toBe(200);
    expect((opened.body as Mount).volumes).toMatchObject([{ name: "disk", filesystem_type: "btrfs", label: "pair", readable: true, error: null }]);
    expect(await servedCount()).toBe(3);
    expect((await system.api("DELETE", `/restore/${pair.mount_id}`)).status).toBe(204);
    await eventually("neither disk is served any more", async () => (await servedCount()) === 1);
  });
});

/** A GPT with these images as partitions, each on a whole MiB. */
async function writeDisk(parts: readonly string[], disk: string): Promise<void> {
  const sizes = await Promise.all(parts.map(async (part) => Math.ceil((await stat(part)).size / mebibyte)));
  const starts = sizes.map((_, index) => 1 + sizes.slice(0, index).reduce((sum, size) => sum + size, 0));
  await writeFile(disk, "");
  await truncate(disk, (2 + sizes.reduce((sum, size) => sum + size, 0)) * mebibyte);
  const table = starts.map((start, index) => `start=${start * 2048}, size=${(sizes[index] ?? 0) * 2048}, type=L\n`);
  await execa("sfdisk", ["--quiet", disk], { input: `label: gpt\n${table.join("")}` });
  for (const [index, part] of parts.entries()) {
    await execa("dd", [`if=${part}`, `of=${disk}`, "bs=1M", `seek=${starts[index]}`, "conv=notrunc,sparse", "status=none"]);
  }
}
