import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Entry, Listing, Mount } from "../../shared/api.ts";
import { fullBackupId, incrementalBackupId, makeRepository, type TestRepository } from "./repository.ts";
import { eventually, processesWith, startSystem, type System } from "./system.ts";

// Property: a user with curl gets the right files out of a two-disk backup, the whole way over the
// real MariaDB, broker, qemu-nbd and HTTP. What is right: the folders that mkfs was given.

let folder: string;
let repository: TestRepository;
let system: System;

const q = encodeURIComponent;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-restore-");
  repository = await makeRepository(folder);
  system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository.path, PLUCK_NBD_SLOTS: "5" });
  const [site] = (await system.api("GET", "/repositories")).body.repositories ?? (await system.api("GET", "/repositories")).body;
  for (const [id, names, completedAt] of [
    [fullBackupId, ["full0", "full1"], "2025-10-08T19:24:31Z"],
    [incrementalBackupId, ["incremental0", "incremental1"], "2025-10-09T19:24:31Z"],
  ] as const) {
    const reply = await system.api("POST", "/backups", {
      vm_name: "pgtest1",
      repository_id: site.id,
      backup_id: id,
      completed_at: completedAt,
      disks: names.map((name, index) => ({ disk_index: index, qcow2_path: repository.disks[name], vmware_disk_key: 2000 + index })),
    });
    expect([200, 201, 409], JSON.stringify(reply.body)).toContain(reply.status);
  }
});

afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function listing(mount: Mount, path: string, more = ""): Promise<Listing> {
  const response = await system.follow(`/restore/${mount.mount_id}/files?path=${q(path)}${more}`);
  expect(response.status, await response.clone().text()).toBe(200);
  return (await response.json()) as Listing;
}

async function download(mount: Mount, path: string, init: RequestInit = {}): Promise<Response> {
  return system.follow(`/restore/${mount.mount_id}/download?path=${q(path)}`, init);
}

describe("the origin's scenarios", () => {
  it("lists the disks of the two-disk backup", async () => {
    const { status, body } = await system.api("GET", `/backups/${fullBackupId}/disks`);
    expect(status).toBe(200);
    expect(body.backup_id).toBe(fullBackupId);
    expect(body.disks.map((disk: { disk_index: number; vmware_disk_key: number; qcow2_path: string; mountable: boolean; status: string }) => [disk.disk_index, disk.vmware_disk_key, disk.qcow2_path, disk.mountable, disk.status])).toEqual([
      [0, 2000, repository.disks.full0, true, "completed"],
      [1, 2001, repository.disks.full1, true, "completed"],
    ]);
    expect(body.disks[0].size_bytes).toBe(146 * 1024 * 1024);
  });

  it("mounts disk 0 without a disk_index, and shows its volumes", async () => {
    const mount = await system.mount(fullBackupId);
    expect(mount).toMatchObject({ backup_id: fullBackupId, disk_index: 0, status: "mounted" });
    expect(mount.nbd_device).toMatch(/^nbd\d+$/);
    expect(mount.volumes.map((volume) => [volume.name, volume.filesystem_type, volume.readable])).toEqual([
      ["p1", "vfat", true],
      ["p2", "ext4", true],
    ]);
    const root = await listing(mount, "/");
    expect(root.entries.map((entry) => [entry.name, entry.path, entry.type])).toEqual([
      ["p1", "/p1", "directory"],
      ["p2", "/p2", "directory"],
    ]);
    const again = await system.api("POST", "/restore/mount", { backup_id: fullBackupId, disk_index: 0 });
    expect([again.status, again.body.mount_id]).toEqual([200, mount.mount_id]);
  });

  it("lists and downloads from disk 0 and from disk 1", async () => {
    const disk0 = await system.mount(fullBackupId, 0);
    const disk1 = await system.mount(fullBackupId, 1);
    expect(disk1.volumes.map((volume) => volume.name)).toEqual(["disk"]);
    expect((await listing(disk0, "/p2")).entries.map((entry) => entry.name)).toEqual(["etc", "home", "lost+found", "srv", "var", "config"]);
    for (const [mount, path, source] of [
      [disk0, "/p2/etc/hosts", join(repository.full.root, "etc/hosts")],
      [disk0, "/p2/home/anna/documents/big.bin", join(repository.full.root, "home/anna/documents/big.bin")],
      [disk0, "/p2/home/anna/documents/empty", join(repository.full.root, "home/anna/documents/empty")],
      [disk0, "/p2/config/hosts", join(repository.full.root, "etc/hosts")],
      [disk0, "/p2/etc/hosts.link", join(repository.full.root, "etc/hosts")],
      [disk0, "/p2/etc/absolute.link", join(repository.full.root, "etc/hostname")],
      [disk1, "/disk/base/16384", join(repository.full.data, "base/16384")],
    ] as const) {
      const response = await download(mount, path);
      expect(response.status, path).toBe(200);
      const bytes = new Uint8Array(await response.arrayBuffer());
      const expected = await readFile(source);
      expect(response.headers.get("content-length"), path).toBe(String(expected.length));
      expect(sha256(bytes), path).toBe(sha256(expected));
    }
    expect(await (await download(disk0, "/p1/EFI/debian/A Long Grub Name.cfg")).text()).toBe("boot\r\n");
  });

  it("opens the full and the incremental side by side, each with its own version", async () => {
    const [full, incremental] = await Promise.all([system.mount(fullBackupId, 1), system.mount(incrementalBackupId, 1)]);
    expect(await (await download(full, "/disk/PG_VERSION")).text()).toBe("16\n");
    expect(await (await download(incremental, "/disk/PG_VERSION")).text()).toBe("17\n");
    const root = await system.mount(incrementalBackupId, 0);
    const names = (await listing(root, "/p2/home/anna/documents")).entries.map((entry) => entry.name);
    expect(names).toEqual(["added-later.txt", "big.bin", "empty"]);
    const bytes = new Uint8Array(await (await download(root, "/p2/home/anna/documents/big.bin")).arrayBuffer());
    expect(sha256(bytes)).toBe(sha256(await readFile(join(repository.incremental.root, "home/anna/documents/big.bin"))));
    await system.api("DELETE", `/restore/${root.mount_id}`);
  });

  it.each([
    ["an unknown backup", { backup_id: "backup-nope" }, 404, "backup_not_found"],
    ["a disk the backup doesn't have", { backup_id: fullBackupId, disk_index: 7 }, 404, "disk_not_found"],
    ["a negative disk_index", { backup_id: fullBackupId, disk_index: -1 }, 400, "invalid_request"],
    ["a fractional disk_index", { backup_id: fullBackupId, disk_index: 0.5 }, 400, "invalid_request"],
    ["a textual disk_index", { backup_id: fullBackupId, disk_index: "0" }, 400, "invalid_request"],
    ["a huge disk_index", { backup_id: fullBackupId, disk_index: 1e18 }, 400, "invalid_request"],
    ["no backup_id", {}, 400, "invalid_request"],
    ["no JSON", "{", 400, "invalid_request"],
  ])("refuses %s", async (_, body, status, code) => {
    const reply = await system.api("POST", "/restore/mount", body);
    expect([reply.status, reply.body.code]).toEqual([status, code]);
    expect(reply.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    if (code === "disk_not_found") expect(reply.body.detail).toMatch(/0.*1/);
  });

  it("says which file is missing, and the disk can be mounted once it is back", async () => {
    const path = join(repository.path, "gone/disk-0/gone-20251010-000000.qcow2");
    await execa("mkdir", ["-p", join(path, "..")]);
    await execa("cp", [join(repository.path, repository.disks.full1), path]);
    const sites = (await system.api("GET", "/repositories")).body;
    const site = (sites.repositories ?? sites)[0];
    const registered = await system.api("POST", "/backups", { vm_name: "gone", repository_id: site.id, backup_id: "backup-gone-1", disks: [{ disk_index: 0, qcow2_path: "gone/disk-0/gone-20251010-000000.qcow2" }] });
    expect(registered.status, JSON.stringify(registered.body)).toBe(201);
    await execa("mv", [path, `${path}.away`]);
    const missing = await system.api("POST", "/restore/mount", { backup_id: "backup-gone-1" });
    expect([missing.status, missing.body.code]).toEqual([404, "qcow2_missing"]);
    expect(missing.body.detail).toContain("gone-20251010-000000.qcow2");
    await execa("mv", [`${path}.away`, path]);
    const mount = await system.mount("backup-gone-1");
    expect(mount.status).toBe("mounted");
    expect((await system.api("DELETE", `/backups/backup-gone-1`)).status).toBe(204);
    expect((await system.api("GET", `/restore/${mount.mount_id}`)).status).toBe(404);
    await eventually("the agent ended the mount of the deleted backup", async () => (await processesWith("qemu-nbd", "gone-2025", system.home)).length === 0);
  });

  it("runs out of slots with 503 and Retry-After, and leaves nothing half-open", async () => {
    const sites = (await system.api("GET", "/repositories")).body;
    const site = (sites.repositories ?? sites)[0];
    const opened: string[] = [];
    let refused;
    for (let index = 0; index < 8 && refused === undefined; index += 1) {
      const path = `slots/disk-0/slots-2025101${index}-000000.qcow2`;
      await execa("mkdir", ["-p", join(repository.path, "slots/disk-0")]);
      await execa("cp", [join(repository.path, repository.disks.full1), join(repository.path, path)]);
      await system.api("POST", "/backups", { vm_name: "slots", repository_id: site.id, backup_id: `backup-slots-${index}`, disks: [{ disk_index: 0, qcow2_path: path }] });
      const reply = await system.api("POST", "/restore/mount", { backup_id: `backup-slots-${index}` });
      if (reply.status === 201) opened.push(reply.body.mount_id);
      else refused = reply;
    }
    expect([refused?.status, refused?.body.code]).toEqual([503, "nbd_devices_exhausted"]);
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
    const resources = (await system.api("GET", "/restore/resources")).body.agents[0];
    expect(resources).toMatchObject({ slots_total: 5, slots_used: 5, slots_free: 0 });
    expect((await system.api("GET", "/restore/mounts")).body.mounts).toHaveLength(5);
    expect(await processesWith("qemu-nbd", system.home)).toHaveLength(5);
    for (const id of opened) expect((await system.api("DELETE", `/restore/${id}`)).status).toBe(204);
    await eventually("the slots are free again", async () => (await system.api("GET", "/restore/resources")).body.agents[0].slots_used === 5 - opened.length);
  });
});

describe("browsing", () => {
  it("gives every name as it is, and its path leads back to it", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const names = await readdir(join(repository.full.root, "srv/odd"), { encoding: "buffer" });
    const { entries } = await listing(mount, "/p2/srv/odd");
    expect(entries).toHaveLength(names.length);
    const expected = names.sort(Buffer.compare);
    for (const [index, entry] of entries.entries()) {
      const name = expected[index] as Buffer;
      expect(entry.name).toBe(name.toString("utf8"));
      const source = await readFile(Buffer.concat([Buffer.from(`${repository.full.root}/srv/odd/`), name]));
      const response = await download(mount, entry.path);
      expect(response.status, entry.path).toBe(200);
      expect(Buffer.from(await response.arrayBuffer()).equals(source), entry.path).toBe(true);
    }
  });

  it("pages through a folder without losing or repeating an entry", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const seen: string[] = [];
    let cursor = "";
    do {
      const page: Listing = await listing(mount, "/p2/srv/many", `&limit=400${cursor}`);
      seen.push(...page.entries.map((entry) => entry.name));
      cursor = page.next === undefined ? "" : `&cursor=${q(page.next)}`;
    } while (cursor !== "");
    expect(seen).toEqual((await readdir(join(repository.full.root, "srv/many"))).sort());
  });

  it("shows attributes as the source has them", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const { stdout } = await execa("stat", ["-c", "%s %a %u %g %y", join(repository.full.root, "etc/hosts")]);
    const entry = (await listing(mount, "/p2/etc")).entries.find((candidate) => candidate.name === "hosts") as Entry;
    const [size, mode, uid, gid] = stdout.split(" ");
    expect([String(entry.size), entry.mode, String(entry.uid), String(entry.gid)]).toEqual([size, mode?.padStart(4, "0"), uid, gid]);
    const links = (await listing(mount, "/p2/etc")).entries.filter((candidate) => candidate.type === "symlink");
    expect(Object.fromEntries(links.map((link) => [link.name, link.symlink_target]))).toEqual({
      "absolute.link": "/etc/hostname",
      "escape.link": "../../../../../../etc/shadow",
      "hosts.link": "hosts",
    });
  });

  it("tells a missing path from one that is no folder", async () => {
    const mount = await system.mount(fullBackupId, 0);
    for (const [path, status, code] of [
      ["/p2/nope", 404, "path_not_found"],
      ["/p9", 404, "path_not_found"],
      ["/p2/etc/hosts/x", 409, "not_a_directory"],
      ["/p2/etc/escape.link", 404, "path_not_found"],
    ] as const) {
      const response = await system.follow(`/restore/${mount.mount_id}/${path.includes("link") ? "download" : "files"}?path=${q(path)}`);
      const problem = (await response.json()) as { code: string };
      expect([response.status, problem.code], path).toEqual([status, code]);
    }
    for (const path of ["/p2/../p1", "/p2/./x", "/p2/a\0b"]) {
      const reply = await system.api("GET", `/restore/${mount.mount_id}/files?path=${q(path)}`);
      expect([reply.status, reply.body.code], path).toEqual([400, "invalid_request"]);
    }
  });
});

describe("downloads", () => {
  it("serves ranges, one and several, and 304 for what the client has", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const path = "/p2/home/anna/documents/big.bin";
    const source = await readFile(join(repository.full.root, "home/anna/documents/big.bin"));
    for (const [range, from, to] of [["bytes=0-0", 0, 1], ["bytes=-500", source.length - 500, source.length], ["bytes=4096-1052671", 4096, 1_052_672], ["bytes=9000000-", 9_000_000, source.length]] as const) {
      const response = await download(mount, path, { headers: { range } });
      expect(response.status, range).toBe(206);
      expect(response.headers.get("content-range")).toBe(`bytes ${from}-${to - 1}/${source.length}`);
      expect(Buffer.from(await response.arrayBuffer()).equals(source.subarray(from, to)), range).toBe(true);
    }
    const beyond = await download(mount, path, { headers: { range: "bytes=99999999-" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, `bytes */${source.length}`]);
    const etag = (await download(mount, path, { method: "HEAD" })).headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[^"]+"$/);
    expect((await download(mount, path, { headers: { "if-none-match": etag } })).status).toBe(304);
    expect((await download(mount, path, { headers: { range: "bytes=0-9", "if-range": '"other"' } })).status).toBe(200);
    const several = await download(mount, path, { headers: { range: "bytes=0-9,100-109" } });
    expect([several.status, several.headers.get("content-type")?.startsWith("multipart/byteranges")]).toEqual([206, true]);
    const body = Buffer.from(await several.arrayBuffer());
    expect(body.length).toBe(Number(several.headers.get("content-length")));
    expect(body.includes(source.subarray(0, 10)) && body.includes(source.subarray(100, 110))).toBe(true);
  });

  it.each([
    ["zip", ["bsdtar", "-xf"]],
    ["tar", ["tar", "-xf"]],
    ["tar.gz", ["tar", "-xzf"]],
    ["tar.zst", ["tar", "--zstd", "-xf"]],
  ])("packs a folder as %s that unpacks to the source", async (format, [program, ...options]) => {
    const mount = await system.mount(fullBackupId, 0);
    const response = await system.follow(`/restore/${mount.mount_id}/download-directory?path=${q("/p2/srv")}&format=${format}`);
    expect(response.status).toBe(200);
    const target = await mkdtemp(join(folder, "unpacked-"));
    const archive = join(target, `archive.${format}`);
    await execa("dd", [`of=${archive}`, "status=none"], { input: new Uint8Array(await response.arrayBuffer()) });
    await execa(program as string, [...options, archive], { cwd: target });
    if (format === "zip") {
      // A zip can't hold every Unix name as it is; the plain ones must be whole.
      await execa("unzip", ["-tq", archive]);
      await execa("diff", ["-r", join(repository.full.root, "srv/many"), join(target, "srv/many")]);
    } else {
      await execa("diff", ["-r", join(repository.full.root, "srv"), join(target, "srv")]);
    }
  });

  it("gives a folder as zip where a file was asked", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const response = await download(mount, "/p2/etc");
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/zip"]);
    expect(Buffer.from(await response.arrayBuffer()).subarray(0, 2).toString()).toBe("PK");
  });

  it("keeps holes as zeros", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const bytes = new Uint8Array(await (await download(mount, "/p2/var/log/lastlog")).arrayBuffer());
    expect(sha256(bytes)).toBe(sha256(await readFile(join(repository.full.root, "var/log/lastlog"))));
  });
});

describe("links and access", () => {
  it("refuses everything but /healthz without a token", async () => {
    expect((await fetch(`${system.url}/healthz`)).status).toBe(200);
    for (const path of ["/backups", "/restore/mounts", "/repositories", "/agents", "/events", "/restore/resources"]) {
      for (const token of [null, "wrong"]) {
        const reply = await system.api("GET", path, undefined, { token });
        expect([reply.status, reply.body.code], path).toEqual([401, "unauthenticated"]);
      }
    }
  });

  it("hands out links that open one thing only, until the mount ends", async () => {
    const mount = await system.mount(fullBackupId, 1);
    const { status, body } = await system.api("POST", `/restore/${mount.mount_id}/links`, { operation: "browse", path: "/disk/base", ttl_s: 60 });
    expect([200, 201]).toContain(status);
    const ask = async (change: (url: string) => string): Promise<[number, string]> => {
      const response = await fetch(change(body.url));
      const text = await response.text();
      return [response.status, response.ok ? "" : (JSON.parse(text) as { code: string }).code];
    };
    expect(await ask((url) => url)).toEqual([200, ""]);
    expect(await ask((url) => url.replace(q("/disk/base"), q("/disk")))).toEqual([403, "link_invalid"]);
    expect(await ask((url) => url.replace("/files?", "/download?"))).toEqual([403, "link_invalid"]);
    expect(await ask((url) => `${url.slice(0, -3)}abc`)).toEqual([403, "link_invalid"]);
    expect(await ask((url) => url.replace(/token=.*/, ""))).toEqual([401, "unauthenticated"]);
    const short = (await system.api("POST", `/restore/${mount.mount_id}/links`, { operation: "download", path: "/disk/PG_VERSION", ttl_s: 4 })).body.url as string;
    expect(await (await fetch(short)).text()).toBe("16\n");
    await eventually("the link expired", async () => {
      const answer = await fetch(short);
      return answer.status === 403 && ((await answer.json()) as { code: string }).code === "link_expired";
    });
    await system.api("DELETE", `/restore/${mount.mount_id}`);
    await eventually("the link ended with its mount", async () => (await ask((url) => url))[1] === "mount_not_found");
    expect(system.logs()).not.toContain(new URL(short).searchParams.get("token"));
    expect(system.logs()).not.toContain(system.token);
  }, 30_000);

  it("keeps a guest's symlink inside what the link grants", async () => {
    const mount = await system.mount(fullBackupId, 0);
    const { body } = await system.api("POST", `/restore/${mount.mount_id}/links`, { operation: "browse", path: "/p2/home/anna" });
    const url = body.url as string;
    expect((await fetch(url)).status).toBe(200);
    const out = await fetch(url.replace(q("/p2/home/anna"), q("/p2/home/anna/etc.link")));
    expect([out.status, ((await out.json()) as { code: string }).code]).toEqual([403, "forbidden"]);
  });

  it("keeps an audit trail of mounts, links and transfers", async () => {
    const mount = await system.mount(fullBackupId, 0);
    await (await download(mount, "/p2/etc/hosts")).arrayBuffer();
    const found = await eventually("the transfer is in the trail", async () => {
      const { body } = await system.api("GET", "/events?limit=200");
      return body.events.find((event: { type: string; path: string }) => event.type === "transfer_finished" && event.path === "/p2/etc/hosts");
    });
    expect(found).toMatchObject({ outcome: "complete", bytes: 20, mount_id: mount.mount_id });
    const types = new Set((await system.api("GET", "/events?limit=200")).body.events.map((event: { type: string }) => event.type));
    expect([...types]).toEqual(expect.arrayContaining(["transfer_finished"]));
    expect(types.size).toBeGreaterThanOrEqual(3);
  });
});

describe("many at once", () => {
  it("gives 100 concurrent requests for one disk one mount and one qemu-nbd", async () => {
    for (const { mount_id } of (await system.api("GET", "/restore/mounts")).body.mounts) await system.api("DELETE", `/restore/${mount_id}`);
    await eventually("all ended", async () => (await processesWith("qemu-nbd", system.home)).length === 0);
    const replies = await Promise.all(Array.from({ length: 100 }, () => system.api("POST", "/restore/mount", { backup_id: fullBackupId, disk_index: 0 })));
    expect(new Set(replies.map((reply) => reply.body.mount_id)).size).toBe(1);
    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(1);
    expect(replies.every((reply) => reply.body.status === "mounted")).toBe(true);
    expect(await processesWith("qemu-nbd", system.home)).toHaveLength(1);
  });

  it("takes an unmount twice", async () => {
    const mount = await system.mount(fullBackupId, 0);
    for (let time = 0; time < 2; time += 1) expect((await system.api("DELETE", `/restore/${mount.mount_id}`)).status).toBe(204);
  });
});
