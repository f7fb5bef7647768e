import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createdArchiveSchema, fileInfoSchema, type Entry, type FileInfo, type Listing, type Mount, mountSchema } from "../../shared/api.ts";
import { fullBackupId, makeRepository, type TestRepository } from "./repository.ts";
import { eventually, startSystem, type System } from "./system.ts";

// Property: what people pick across folders, volumes and disks arrives as one archive of just that, over the
// real database, broker, qemu-nbd and HTTP, as a browser's page and curl would ask for it. What is right: the
// folders that mkfs was given, unpacked by other people's tools.

let folder: string;
let repository: TestRepository;
let system: System;
let disk0: Mount;
let disk1: Mount;

const q = encodeURIComponent;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-archives-");
  repository = await makeRepository(folder);
  await addGuest();
  system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository.path });
  const [site] = (await system.api("GET", "/repositories")).body.repositories;
  for (const [vm, id, paths] of [
    ["pgtest1", fullBackupId, [repository.disks.full0, repository.disks.full1]],
    ["guest", "backup-guest", ["guest/disk-0/guest-20251008-000000.qcow2"]],
  ] as const) {
    const reply = await system.api("POST", "/backups", { vm_name: vm, repository_id: site.id, backup_id: id, disks: paths.map((qcow2_path, disk_index) => ({ disk_index, qcow2_path })) });
    expect([200, 201], JSON.stringify(reply.body)).toContain(reply.status);
  }
  disk0 = await system.mount(fullBackupId, 0);
  disk1 = await system.mount(fullBackupId, 1);
});

afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

const mebibyte = 1024 * 1024;

/** A disk whose fstab puts p2 below p1, and with swap, which nothing reads, in p3. */
async function addGuest(): Promise<void> {
  const image = join(folder, "guest.raw");
  const tree = join(folder, "guest");
  await mkdir(join(tree, "p1/etc"), { recursive: true });
  await mkdir(join(tree, "p1/srv"));
  await mkdir(join(tree, "p2/data"), { recursive: true });
  await writeFile(join(tree, "p1/etc/fstab"), "LABEL=guestroot / ext4 defaults 0 1\nLABEL=guestsrv /srv ext4 defaults 0 2\n");
  await writeFile(join(tree, "p2/data/report.txt"), "of the second volume\n");
  await execa("truncate", ["-s", "64M", image]);
  await execa("sfdisk", ["--quiet", image], { input: "label: gpt\nsize=16MiB\nsize=16MiB\nsize=8MiB\n" });
  for (const [part, label, start] of [["p1", "guestroot", 1], ["p2", "guestsrv", 17]] as const) {
    const volume = join(folder, part);
    await execa("mke2fs", ["-q", "-t", "ext4", "-F", "-L", label, "-d", join(tree, part), volume, "16m"]);
    await execa("dd", [`if=${volume}`, `of=${image}`, "bs=1M", `seek=${String(start)}`, "conv=notrunc", "status=none"]);
  }
  const swap = join(folder, "p3");
  await execa("truncate", ["-s", "8M", swap]);
  await execa("mkswap", ["-q", "-L", "guestswap", swap]);
  await execa("dd", [`if=${swap}`, `of=${image}`, "bs=1M", "seek=33", "conv=notrunc", "status=none"]);
  await mkdir(join(repository.path, "guest/disk-0"), { recursive: true });
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", image, join(repository.path, "guest/disk-0/guest-20251008-000000.qcow2")]);
}

type Item = { readonly mount_id: string; readonly path: string };
const of = (mount: Mount, ...paths: readonly string[]): Item[] => paths.map((path) => ({ mount_id: mount.mount_id, path }));

async function order(items: readonly Item[], more: object = {}): Promise<{ url: string; selection: string }> {
  const { status, body } = await system.api("POST", "/restore/archives", { items, format: "tar", ...more });
  expect(status, JSON.stringify(body)).toBe(201);
  return createdArchiveSchema.parse(body);
}

async function post({ url, selection }: { url: string; selection: string }, init: RequestInit = {}): Promise<Response> {
  return await fetch(url, { method: "POST", body: new URLSearchParams({ selection }), ...init });
}

async function problem(response: Response): Promise<[number, string]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return [response.status, ((await response.json()) as { code: string }).code];
}

/** Unpacks it as a user would; gives the folder. */
async function unpack(response: Response, format = "tar"): Promise<string> {
  expect(response.status, response.ok ? "" : await response.clone().text()).toBe(200);
  const target = await mkdtemp(join(folder, "unpacked-"));
  const archive = join(target, "archive");
  await writeFile(archive, new Uint8Array(await response.arrayBuffer()));
  const out = join(target, "out");
  await mkdir(out);
  if (format === "zip") await execa("bsdtar", ["-xf", archive], { cwd: out });
  else await execa("tar", ["-xf", archive], { cwd: out });
  return out;
}

async function filesIn(path: string): Promise<string[]> {
  return (await execa("find", [".", "-not", "-type", "d", "-printf", "%P\\n"], { cwd: path })).stdout.split("\n").filter((line) => line !== "").sort();
}

describe("an archive of what was picked", () => {
  it.each(["zip", "tar", "tar.gz", "tar.zst"])("holds just that, below the deepest common folder: %s", async (format) => {
    const response = await post(await order(of(disk0, "/p2/etc/hosts", "/p2/home", "/p2/srv/odd/with space", "/p2/etc/hosts.link"), { format, name: `my files.${format}` }));
    expect(response.headers.get("content-disposition")).toBe(`attachment; filename="my files.${format}"`);
    const out = await unpack(response, format);
    const { root } = repository.full;
    expect(await filesIn(out)).toEqual(["etc/hosts", "etc/hosts.link", "home/anna/documents/big.bin", "home/anna/documents/deleted-later.txt", "home/anna/documents/empty", "home/anna/etc.link", "srv/odd/with space"]);
    await execa("diff", ["-r", "--no-dereference", join(root, "home"), join(out, "home")]);
    for (const path of ["etc/hosts", "srv/odd/with space"]) expect((await readFile(join(out, path))).equals(await readFile(join(root, path))), path).toBe(true);
  });

  it("of several disks has a folder for each, with the whole paths", async () => {
    const ordered = await order([...of(disk1, "/disk/base", "/disk/PG_VERSION"), ...of(disk0, "/p2/etc/hosts", "/p1/EFI")]);
    const response = await post(ordered);
    expect(response.headers.get("content-disposition")).toBe(`attachment; filename=${fullBackupId}.tar`);
    const out = await unpack(response);
    expect(await filesIn(out)).toEqual([
      `${fullBackupId}-disk-0/p1/EFI/debian/A Long Grub Name.cfg`, `${fullBackupId}-disk-0/p2/etc/hosts`,
      `${fullBackupId}-disk-1/disk/PG_VERSION`, `${fullBackupId}-disk-1/disk/base/16384`,
    ]);
    await execa("diff", [join(repository.full.data, "base/16384"), join(out, `${fullBackupId}-disk-1/disk/base/16384`)]);
  });

  it("has each entry once where items overlap, and hard links are stored once", async () => {
    const out = await unpack(await post(await order(of(disk0, "/p2/etc/hostname.hard", "/p2/etc", "/p2/config/hosts", "/p2/etc/hosts", "/p2/etc", "/p2/etc/hostname"))));
    expect(await filesIn(out)).toEqual(["etc/absolute.link", "etc/escape.link", "etc/hostname", "etc/hostname.hard", "etc/hosts", "etc/hosts.link"]);
    const links = await unpack(await post(await order(of(disk0, "/p2/etc/hostname.hard", "/p2/etc/hostname"))));
    expect((await execa("stat", ["-c", "%h", "hostname", "hostname.hard"], { cwd: links })).stdout).toBe("2\n2");
    // zip has no hard links: their bytes are stored again.
    const zipped = await unpack(await post(await order([...of(disk0, "/p2/etc/hostname.hard", "/p2/etc/hostname"), ...of(disk1, "/disk/PG_VERSION")], { format: "zip" })), "zip");
    for (const name of ["hostname", "hostname.hard"]) expect(await readFile(join(zipped, `${fullBackupId}-disk-0/p2/etc`, name), "utf8")).toBe("pgtest1\n");
  });

  it("takes every name as the listing gives it, ten thousand items and a body of megabytes", async () => {
    const listing = (await (await system.follow(`/restore/${disk0.mount_id}/files?path=${q("/p2/srv/odd")}`)).json()) as Listing;
    const odd = await unpack(await post(await order(of(disk0, ...listing.entries.map((entry: Entry) => entry.path)))));
    await execa("diff", ["-r", join(repository.full.root, "srv/odd"), odd]);
    const many = Array.from({ length: 10_000 }, (_, index) => `/p2/srv/many/file-${String(index % 1500).padStart(5, "0")}`);
    const out = await unpack(await post(await order(of(disk0, ...many))));
    await execa("diff", ["-r", join(repository.full.root, "srv/many"), out]);
    const tooMany = await system.api("POST", "/restore/archives", { format: "zip", items: of(disk0, ...many, "/p2") });
    expect([tooMany.status, tooMany.body.code]).toEqual([400, "invalid_request"]);
    // Above what other calls take, and names that don't compress away.
    const long = of(disk0, ...Array.from({ length: 9000 }, (_, index) => `/p2/${sha256(Buffer.from(String(index))).repeat(5)}`));
    const missing = await post(await order(long));
    expect(await problem(missing)).toEqual([404, "path_not_found"]);
  });

  it("of whole mounts has every volume", async () => {
    const out = await unpack(await post(await order(of(disk0, "/", "/p1", "/p2/etc"))));
    await execa("diff", ["-r", "--no-dereference", join(repository.full.root, "etc"), join(out, "p2/etc")]);
    expect((await execa("ls", { cwd: out })).stdout).toBe("p1\np2");
  });

  it("goes by curl as the documentation says", async () => {
    const { url, selection } = await order(of(disk0, "/p2/etc/hosts", "/p2/etc/hostname"));
    const target = join(folder, "curl.tar");
    await execa("curl", ["-sSf", "-o", target, "--data-urlencode", "selection@-", url], { input: `${selection}\n` });
    expect((await execa("tar", ["-tf", target])).stdout).toBe("hostname\nhosts");
  });

  it("is written to the audit trail once for each mount", async () => {
    const response = await post(await order([...of(disk0, "/p2/srv/odd", "/p2/etc/hostname"), ...of(disk1, "/disk/base")]));
    const size = (await response.arrayBuffer()).byteLength;
    const events = async (type: string): Promise<{ mount_id: string; path: string; bytes: number; operation: string; outcome: string; actor: string }[]> =>
      (await system.api("GET", `/events?type=${type}&limit=1000`)).body.events.filter((event: { path: string }) => ["/p2/srv/odd\n/p2/etc/hostname", "/disk/base"].includes(event.path));
    const finished = await eventually("both mounts are in the trail", async () => {
      const found = await events("transfer_finished");
      return found.length === 2 && found;
    });
    for (const event of finished) expect(event).toMatchObject({ operation: "archive", outcome: "complete", actor: "admin" });
    expect(new Set(finished.map((event) => event.mount_id))).toEqual(new Set([disk0.mount_id, disk1.mount_id]));
    expect(finished.reduce((sum, event) => sum + event.bytes, 0)).toBe(size);
    expect(await events("link_issued")).toHaveLength(2);
  });

  it("is not given for what is not there, not open, not one agent's, or not sensible", async () => {
    expect(await problem(await post(await order(of(disk0, "/p2/etc/hosts", "/p2/nope"))))).toEqual([404, "path_not_found"]);
    expect(await problem(await post(await order(of(disk0, "/p9"))))).toEqual([404, "path_not_found"]);
    expect(await problem(await post(await order(of(disk0, "/p2/etc/hosts/x"))))).toEqual([409, "not_a_directory"]);
    for (const [items, status, code] of [
      [[], 400, "invalid_request"],
      [of(disk0, "/p2/../p1"), 400, "invalid_request"],
      [[{ mount_id: "mnt-none", path: "/" }], 404, "mount_not_found"],
      [[{ mount_id: `${disk0.mount_id} `, path: "/" }], 400, "invalid_request"],
    ] as const) {
      const reply = await system.api("POST", "/restore/archives", { format: "zip", items });
      expect([reply.status, reply.body.code], JSON.stringify(items)).toEqual([status, code]);
    }
    for (const method of ["PUT", "PATCH"]) expect((await system.api(method, "/restore/archives")).status, method).toBe(405);
  });

  it("is given to whoever has the link and that very selection, and to nobody else", async () => {
    const own = await order(of(disk0, "/p2/etc/hosts"));
    const other = await order(of(disk0, "/p2/etc/hostname"));
    expect(await problem(await post({ url: own.url, selection: other.selection }))).toEqual([403, "link_invalid"]);
    expect(await problem(await post({ ...own, url: `${own.url.slice(0, -3)}abc` }))).toEqual([403, "link_invalid"]);
    expect(await problem(await post({ ...own, url: own.url.replace(/\?.*/, "") }))).toEqual([401, "unauthenticated"]);
    expect(await problem(await post(own, { body: JSON.stringify({ selection: own.selection }), headers: { "content-type": "application/json" } }))).toEqual([400, "invalid_request"]);
    expect(await problem(await post(own, { body: new URLSearchParams({ other: "x" }) }))).toEqual([400, "invalid_request"]);
    expect(await problem(await post({ ...own, selection: "x".repeat(5_000_000) }))).toEqual([413, "body_too_large"]);
    // Neither kind of link passes for the other.
    const browse = (await system.api("POST", `/restore/${disk0.mount_id}/links`, { operation: "archive", path: "/p2" })).body.url as string;
    expect(await problem(await post({ ...own, url: `${own.url.replace(/token=.*/, "")}token=${new URL(browse).searchParams.get("token") ?? ""}` }))).toEqual([403, "link_invalid"]);
    expect((await fetch(browse.replace(/token=.*/, `token=${new URL(own.url).searchParams.get("token") ?? ""}`))).status).toBe(403);
    for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
      const refused = await fetch(own.url, { method });
      expect([refused.status, refused.headers.get("allow")], method).toEqual([405, "POST, OPTIONS"]);
    }
    expect((await post(own)).status).toBe(200);
    expect(system.logs()).not.toContain(new URL(own.url).searchParams.get("token"));
  });

  it("breaks without its end when one of its mounts ends", async () => {
    const mount = await system.mount("backup-guest");
    // A zip holds the zeros of sparse files: more than all buffers on the way.
    const ordered = await order([...of(disk0, "/p2"), ...of(mount, "/")], { format: "zip" });
    const response = await post(ordered);
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    await reader?.read();
    expect((await system.api("DELETE", `/restore/${mount.mount_id}`)).status).toBe(204);
    await expect((async () => {
      while ((await reader?.read())?.done === false);
    })()).rejects.toThrow();
    expect(await problem(await post(ordered))).toEqual([404, "mount_not_found"]);
  });
});

describe("a page of the coordinator's origin", () => {
  it("may read what agents answer, by ranges too, and no other may", async () => {
    const browse = (await system.api("POST", `/restore/${disk0.mount_id}/links`, { operation: "browse", path: "/" })).body.url as string;
    const file = (await system.api("POST", `/restore/${disk0.mount_id}/links`, { operation: "download", path: "/p2/home/anna/documents/big.bin" })).body.url as string;
    const archive = await order(of(disk0, "/p2/etc/hosts"));
    const preflight = async (url: string, origin: string, method: string): Promise<Headers> =>
      (await fetch(url, { method: "OPTIONS", headers: { origin, "access-control-request-method": method, "access-control-request-headers": "range,if-range" } })).headers;
    for (const [url, init, asked] of [
      [browse, {}, "GET"],
      [file, { headers: { range: "bytes=100-199" } }, "GET"],
      [archive.url, { method: "POST", body: new URLSearchParams({ selection: archive.selection }) }, "POST"],
    ] as const) {
      const headersOf = (origin: string): RequestInit => ({ ...init, headers: { ...("headers" in init ? init.headers : {}), origin } });
      const own = await fetch(url, headersOf(system.url));
      expect(own.headers.get("access-control-allow-origin"), url).toBe(system.url);
      const exposed = own.headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
      expect(exposed).toEqual(expect.arrayContaining(["content-length", "content-range", "content-disposition", "etag", "accept-ranges"]));
      // Nothing that would keep the page from reading it, or the browser from saving it.
      for (const name of ["cross-origin-resource-policy", "cross-origin-embedder-policy", "cross-origin-opener-policy", "x-frame-options"]) expect(own.headers.get(name), name).toBeNull();
      if (url === file) {
        const bytes = (await readFile(join(repository.full.root, "home/anna/documents/big.bin"))).subarray(100, 200);
        expect([own.status, own.headers.get("content-range"), sha256(new Uint8Array(await own.arrayBuffer()))]).toEqual([206, "bytes 100-199/9000001", sha256(bytes)]);
      } else await own.arrayBuffer();
      const allowed = await preflight(url, system.url, asked);
      expect(allowed.get("access-control-allow-origin")).toBe(system.url);
      expect(allowed.get("access-control-allow-methods")).toContain(asked);
      expect(allowed.get("access-control-allow-headers")?.toLowerCase()).toMatch(/(^|, )range(, .*)?if-range/);
      for (const origin of ["https://evil.example", "null", system.url.replace("http:", "https:"), `${system.url}0`]) {
        const other = await fetch(url, headersOf(origin));
        await other.arrayBuffer();
        for (const headers of [other.headers, await preflight(url, origin, asked)]) {
          expect([...headers.keys()].filter((name) => name.startsWith("access-control-")), origin).toEqual([]);
        }
      }
    }
    // A refusal may be read by the page as well.
    const refused = await fetch(browse.replace(/token=.*/, "token=x"), { headers: { origin: system.url } });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([403, system.url]);
    // That a mount has ended too, by the page of this coordinator alone.
    for (const [origin, allowed] of [[system.url, system.url], ["https://evil.example", null]] as const) {
      const gone = await fetch(browse.replace(disk0.mount_id, "mnt-ended"), { headers: { origin } });
      expect([gone.status, gone.headers.get("access-control-allow-origin")]).toEqual([404, allowed]);
    }
  });
});

describe("the hash of a file", () => {
  const info = async (mount: Mount, path: string, more = ""): Promise<[number, FileInfo & { code?: string }]> => {
    const response = await system.follow(`/restore/${mount.mount_id}/file-info?path=${q(path)}${more}`);
    return [response.status, (await response.json()) as FileInfo];
  };

  it("is of the bytes that a download gives, and only there when asked for", async () => {
    for (const [path, source] of [
      ["/p2/home/anna/documents/big.bin", "home/anna/documents/big.bin"],
      ["/p2/home/anna/documents/empty", "home/anna/documents/empty"],
      ["/p2/var/log/lastlog", "var/log/lastlog"],
      ["/p2/etc/hosts.link", "etc/hosts"],
      ["/p2/etc/absolute.link", "etc/hostname"],
    ] as const) {
      const [status, answer] = await info(disk0, path, "&hash=sha256");
      expect([status, fileInfoSchema.parse(answer).sha256], path).toEqual([200, sha256(await readFile(join(repository.full.root, source)))]);
      const [, plain] = await info(disk0, path);
      const { sha256: _, ...rest } = answer;
      expect(plain).toEqual(rest);
    }
    expect((await info(disk0, "/p2/etc/hosts.link", "&hash=sha256"))[1]).toMatchObject({ type: "symlink", symlink_target: "hosts" });
  });

  it("is refused for what is no file, of another kind, or not there", async () => {
    for (const [path, status, code] of [["/p2/etc", 400, "invalid_request"], ["/", 400, "invalid_request"], ["/p2/config", 400, "invalid_request"], ["/p2/nope", 404, "path_not_found"], ["/p2/etc/escape.link", 404, "path_not_found"]] as const) {
      const [got, answer] = await info(disk0, path, "&hash=sha256");
      expect([got, answer.code], path).toEqual([status, code]);
    }
    const md5 = await system.api("GET", `/restore/${disk0.mount_id}/file-info?path=/p2/etc/hosts&hash=md5`);
    expect([md5.status, md5.body.code]).toEqual([400, "invalid_request"]);
    const { url } = (await system.api("POST", `/restore/${disk0.mount_id}/links`, { operation: "browse", path: "/" })).body as { url: string };
    const direct = url.replace("/files?", "/file-info?").replace("path=%2F", `path=${q("/p2/etc/hosts")}`);
    expect(await problem(await fetch(`${direct}&hash=md5`))).toEqual([400, "invalid_request"]);
    expect(((await (await fetch(`${direct}&hash=sha256`)).json()) as FileInfo).sha256).toBe(sha256(await readFile(join(repository.full.root, "etc/hosts"))));
  });
});

describe("what a restore point takes up", () => {
  it("is told by the agent: the file's own blocks, holes not counted, after a registration and after a scan", async () => {
    const taken = async (path: string): Promise<number> => {
      const [size = 0, blocks = 0] = (await execa("stat", ["-c", "%s %b", join(repository.path, path)])).stdout.split(" ").map(Number);
      return Math.min(size, blocks * 512);
    };
    const stored = async (): Promise<number[]> => (await system.api("GET", `/backups/${fullBackupId}/disks`)).body.disks.map((disk: { stored_bytes: number }) => disk.stored_bytes);
    const expected = [await taken(repository.disks.full0), await taken(repository.disks.full1)];
    expect(await stored()).toEqual(expected);
    const hole = join(repository.path, "hole/disk-0/hole-20251008-000000.qcow2");
    await mkdir(join(repository.path, "hole/disk-0"), { recursive: true });
    await execa("qemu-img", ["create", "-q", "-f", "qcow2", hole, "1G"]);
    await execa("truncate", ["-s", "64M", hole]);
    const scan = await system.api("POST", `/repositories/${(await system.api("GET", "/repositories")).body.repositories[0].id}/scan`);
    expect(scan.status).toBe(200);
    const [point] = (await system.api("GET", "/backups?vm_name=hole")).body.backups;
    expect(point.disks[0].stored_bytes).toBe(await taken("hole/disk-0/hole-20251008-000000.qcow2"));
    expect(point.disks[0].stored_bytes).toBeLessThan(mebibyte);
    expect(await stored()).toEqual(expected);
  });
});

describe("a lease", () => {
  it("begins anew when it is extended", async () => {
    const before = (await system.api("GET", `/restore/${disk1.mount_id}`)).body as Mount;
    const { status, body } = await system.api("POST", `/restore/${disk1.mount_id}/extend`);
    const extended = mountSchema.parse(body);
    expect(status).toBe(200);
    expect(Date.parse(extended.expires_at)).toBeGreaterThan(Date.parse(before.expires_at));
    expect(Date.parse(extended.expires_at) - Date.parse(extended.last_accessed_at)).toBe(3_600_000);
    expect({ ...extended, expires_at: "", last_accessed_at: "" }).toEqual({ ...before, expires_at: "", last_accessed_at: "" });
    expect((await system.api("GET", `/events?type=extended&mount_id=${disk1.mount_id}`)).body.events).toHaveLength(1);
    for (const [method, path, code, expected] of [["POST", "/restore/mnt-none/extend", "mount_not_found", 404], ["GET", `/restore/${disk1.mount_id}/extend`, "method_not_allowed", 405], ["DELETE", `/restore/${disk1.mount_id}/extend`, "method_not_allowed", 405]] as const) {
      const refused = await system.api(method, path);
      expect([refused.status, refused.body.code], path).toEqual([expected, code]);
    }
  });
});

describe("the guest's own tree and its volumes as they are", () => {
  it("are browsed and downloaded by the coordinator's routes", async () => {
    const mount = await system.mount("backup-guest");
    const list = async (path: string): Promise<Listing> => (await (await system.follow(`/restore/${mount.mount_id}/files?path=${q(path)}`)).json()) as Listing;
    expect((await list("/")).entries.map(({ path, error }) => [path, error?.code])).toEqual([["/p1", undefined], ["/p2", undefined], ["/p3", "unsupported"], ["/guest", undefined]]);
    expect((await list("/guest/srv/data")).entries).toMatchObject([{ path: "/guest/srv/data/report.txt", type: "file", size: 21 }]);
    const download = await system.follow(`/restore/${mount.mount_id}/download?path=${q("/guest/srv/data/report.txt")}`);
    expect([download.status, await download.text()]).toEqual([200, "of the second volume\n"]);
    const response = await system.follow(`/restore/${mount.mount_id}/file-info?path=/guest`);
    expect(((await response.json()) as FileInfo).guest).toEqual({
      root: "/p1",
      mounts: [
        { source: "LABEL=guestroot", mount_point: "/", type: "ext4", options: "defaults", volume: "/p1", problem: null },
        { source: "LABEL=guestsrv", mount_point: "/srv", type: "ext4", options: "defaults", volume: "/p2", problem: null },
      ],
    });
    // The tree shows once more what the volumes hold: whoever picks both gets both.
    const out = await unpack(await post(await order(of(mount, "/guest/srv", "/p2"))));
    expect(await filesIn(out)).toEqual(["guest/srv/data/report.txt", "p2/data/report.txt"]);
    const unreadable = await order(of(mount, "/p2", "/p3"));
    expect(await problem(await post(unreadable))).toEqual([422, "unsupported"]);
    const reported = await unpack(await post({ ...unreadable, url: `${unreadable.url}&on_error=report` }));
    expect(await filesIn(reported)).toEqual(["PLUCK-ERRORS.txt", "p2/data/report.txt"]);
  });

  it("are downloaded raw, whole and by ranges", async () => {
    const mount = await system.mount("backup-guest");
    for (const [volume, start, size] of [["p3", 33, 8], ["p1", 1, 16]] as const) {
      const expected = createHash("sha256");
      for await (const chunk of createReadStream(join(folder, "guest.raw"), { start: start * mebibyte, end: (start + size) * mebibyte - 1 })) expected.update(chunk as Buffer);
      const response = await system.follow(`/restore/${mount.mount_id}/download?path=${q(`/${volume}`)}&raw=true`);
      expect([response.status, response.headers.get("content-length")]).toEqual([200, String(size * mebibyte)]);
      expect(response.headers.get("content-disposition")).toBe(`attachment; filename=${mount.mount_id}-${volume}.img`);
      expect(sha256(new Uint8Array(await response.arrayBuffer())), volume).toBe(expected.digest("hex"));
    }
    // Where mkswap wrote its magic.
    const magic = await system.follow(`/restore/${mount.mount_id}/download?path=/p3&raw=true`, { headers: { range: "bytes=4086-4095" } });
    expect([magic.status, await magic.text()]).toEqual([206, "SWAPSPACE2"]);
    const without = await system.follow(`/restore/${mount.mount_id}/download?path=/p3`);
    expect(await problem(without)).toEqual([422, "unsupported"]);
  });
});
