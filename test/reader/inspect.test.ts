import { mkdir, mkdtemp, readdir, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";

const entry = resolve(fileURLToPath(import.meta.url), "../../../agent/inspect.ts");
let folder: string;
let raw: string;
let qcow2: string;
const contents = Buffer.alloc(3_000_000, "0123456789abcdef");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-inspect-test-"));
  const tree = join(folder, "tree");
  await mkdir(join(tree, "etc"), { recursive: true });
  await writeFile(join(tree, "etc", "hosts"), "127.0.0.1\n", { mode: 0o640 });
  await utimes(join(tree, "etc", "hosts"), 1_700_000_000, 1_700_000_000);
  await symlink("hosts", join(tree, "etc", "link"));
  await writeFile(join(tree, "large"), contents);
  raw = join(folder, "disk.raw");
  qcow2 = join(folder, "disk.qcow2");
  await writeFile(raw, "");
  await truncate(raw, 32 << 20);
  await execa("mkfs.ext4", ["-q", "-F", "-L", "data", "-d", tree, raw]);
  await execa("qemu-img", ["convert", "-O", "qcow2", raw, qcow2]);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function inspect(...args: string[]) {
  const scratch = await mkdtemp(join(folder, "tmp-"));
  const result = await execa(process.execPath, [entry, ...args], { reject: false, encoding: "buffer", stripFinalNewline: false, env: { TMPDIR: scratch } });
  return {
    code: result.exitCode,
    bytes: Buffer.from(result.stdout),
    out: Buffer.from(result.stdout).toString(),
    error: Buffer.from(result.stderr).toString(),
    left: await readdir(scratch),
  };
}

test.each(["raw", "qcow2"])("a %s image is listed, shown and read without a server, and nothing stays behind", async (kind) => {
  const image = kind === "raw" ? raw : qcow2;
  const volumes = await inspect("ls", image);
  expect(volumes).toMatchObject({ code: 0, error: "", left: [] });
  expect(volumes.out).toMatch(/^disk {2}ext4 {2}32\.0 MiB {2}data {2}clean\n$/);
  const listing = await inspect("ls", image, "/disk/etc");
  expect(listing.out.split("\n")[0]).toMatch(/^-rw-r----- .* 10 {2}2023-11-14 22:13:20\.000000000Z {2}hosts$/);
  expect(listing.out.split("\n")[1]).toMatch(/link -> hosts$/);
  expect((await inspect("stat", image, "/disk/etc/link")).out).toMatch(/^target +hosts$/m);
  expect((await inspect("cat", image, "/disk/etc/link")).out).toBe("127.0.0.1\n");
  const large = await inspect("cat", image, "/disk/large");
  expect(createHash("sha256").update(large.bytes).digest("hex")).toBe(createHash("sha256").update(contents).digest("hex"));
  expect((await inspect("tree", image, "/disk")).out).toContain("etc/\n  hosts  (10)\n");
});

test("what goes wrong is one line with its code, and misuse is told apart", async () => {
  expect(await inspect("cat", qcow2, "/disk/none")).toMatchObject({ code: 1, error: "path_not_found: /disk/none does not exist.\n", left: [] });
  expect(await inspect("cat", qcow2, "/disk/etc")).toMatchObject({ code: 1, error: "not_a_file: /disk/etc is not a regular file.\n" });
  expect(await inspect("ls", join(folder, "none.qcow2"))).toMatchObject({ code: 1, error: expect.stringMatching(/^not_found: /) });
  expect((await inspect()).code).toBe(2);
  expect((await inspect("rm", qcow2)).code).toBe(2);
  expect((await inspect("ls", qcow2, "/disk/../etc")).code).toBe(2);
});
