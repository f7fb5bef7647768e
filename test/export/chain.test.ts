import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, stat, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MAX_CHAIN_FILES, readBackingChain } from "../../agent/export/backing-chain.ts";
import { openExport } from "../../agent/export/export.ts";
import { inspectQcow2 } from "../../agent/export/inspect.ts";
import { openNbd } from "../../agent/nbd/nbd-source.ts";
import { create, createOver, fill, makeFolder, patch, qemuImg, removeFolder, setBacking } from "./images.ts";

let folder: string;
let root: string;

beforeEach(async () => {
  folder = await makeFolder();
  root = path.join(folder, "repository");
  await mkdir(path.join(root, "vm"), { recursive: true });
});
afterEach(() => removeFolder(folder));

const error = (code: string, message?: RegExp) =>
  expect.objectContaining(message === undefined ? { code } : { code, message: expect.stringMatching(message) });
const chainOf = async (file: string) => (await inspectQcow2({ repositoryRoot: root, path: file })).chain;
const expectRefusal = (file: string, code: string, message?: RegExp) =>
  expect(readBackingChain({ repositoryRoot: root, path: file })).rejects.toEqual(error(code, message));

/** The disk through our export and client equals the one that qemu-img converts, byte for byte. */
async function expectSameDisk(file: string): Promise<void> {
  const raw = path.join(folder, "oracle.raw");
  await execa("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", path.join(root, file), raw]);
  const oracle = await readFile(raw);
  const disk = await openExport({ repositoryRoot: root, path: file, runDir: path.join(folder, "run") });
  try {
    expect(disk.chain.virtualSizeBytes).toBe(oracle.length);
    const source = await openNbd({ socketPath: disk.socketPath });
    try {
      const target = Buffer.alloc(source.sizeBytes, 0xee);
      await source.readInto(0, target);
      const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
      expect(sha256(target)).toBe(sha256(oracle));
    } finally {
      await source.close();
    }
  } finally {
    await disk.close();
  }
}

describe("chains that are served", () => {
  test.each([1, 2, 3, 4, 5])("%d files", async (count) => {
    await create(root, "vm/0.qcow2");
    await fill(root, "vm/0.qcow2", 1, 0, 8);
    for (let index = 1; index < count; index += 1) {
      await createOver(root, `vm/${index}.qcow2`, `${index - 1}.qcow2`);
      await fill(root, `vm/${index}.qcow2`, index + 1, index, 1);
    }
    const names = Array.from({ length: count }, (_, index) => `vm/${count - 1 - index}.qcow2`);
    expect(await chainOf(`vm/${count - 1}.qcow2`)).toEqual(names);
    await expectSameDisk(`vm/${count - 1}.qcow2`);
  });

  test("a base in another folder, by a relative or an absolute path", async () => {
    await mkdir(path.join(root, "full"));
    await create(root, "full/base.qcow2");
    await fill(root, "full/base.qcow2", 7, 3);
    await createOver(root, "vm/relative.qcow2", "../full/base.qcow2");
    await createOver(root, "vm/absolute.qcow2", path.join(root, "full/base.qcow2"));
    expect(await chainOf("vm/relative.qcow2")).toEqual(["vm/relative.qcow2", "full/base.qcow2"]);
    expect(await chainOf("vm/absolute.qcow2")).toEqual(["vm/absolute.qcow2", "full/base.qcow2"]);
    await expectSameDisk("vm/relative.qcow2");
  });

  test("symlinks that stay inside, to files, folders and the root itself", async () => {
    await mkdir(path.join(root, "store"));
    await create(root, "store/base.qcow2");
    await fill(root, "store/base.qcow2", 9, 1);
    await symlink("../store/base.qcow2", path.join(root, "vm/latest.qcow2"));
    await symlink("store", path.join(root, "alias"));
    await createOver(root, "vm/top.qcow2", "latest.qcow2");
    await createOver(root, "vm/other.qcow2", "../alias/base.qcow2");
    expect(await chainOf("vm/top.qcow2")).toEqual(["vm/top.qcow2", "store/base.qcow2"]);
    expect(await chainOf("vm/other.qcow2")).toEqual(["vm/other.qcow2", "store/base.qcow2"]);
    await symlink(root, path.join(folder, "root-link"));
    const facts = await inspectQcow2({ repositoryRoot: path.join(folder, "root-link/"), path: "vm/top.qcow2" });
    expect(facts.chain).toEqual(["vm/top.qcow2", "store/base.qcow2"]);
    await expectSameDisk("vm/top.qcow2");
  });

  test("a symlinked overlay's relative base counts from the symlink, as in QEMU", async () => {
    await mkdir(path.join(root, "store"));
    await create(root, "vm/base.qcow2");
    await create(root, "store/base.qcow2");
    await fill(root, "vm/base.qcow2", 1, 0);
    await fill(root, "store/base.qcow2", 2, 0);
    await createOver(root, "store/top.qcow2", "base.qcow2");
    await symlink("../store/top.qcow2", path.join(root, "vm/top.qcow2"));
    expect(await chainOf("vm/top.qcow2")).toEqual(["store/top.qcow2", "vm/base.qcow2"]);
    await expectSameDisk("vm/top.qcow2");
  });

  test.each(["with space", "comma,comma", "./co:lon", 'quo"te', "apo'strophe", "new\nline", "back\\slash", "json{}", "per%20cent", "ünïcödé", "-dash"])(
    "names of any kind: %j",
    async (name) => {
      await create(root, "vm/x.qcow2");
      await fill(root, "vm/x.qcow2", 5, 2);
      await rename(path.join(root, "vm/x.qcow2"), path.join(root, "vm", name));
      await create(root, "vm/top.qcow2");
      await setBacking(path.join(root, "vm/top.qcow2"), name);
      expect(await chainOf("vm/top.qcow2")).toEqual(["vm/top.qcow2", path.join("vm", name)]);
      const disk = await openExport({ repositoryRoot: root, path: "vm/top.qcow2", runDir: path.join(folder, "run") });
      const source = await openNbd({ socketPath: disk.socketPath });
      expect((await source.read(2 * 1024 * 1024, 1))[0]).toBe(5);
      await source.close();
      await disk.close();
    },
  );

  test("names that are not UTF-8", async () => {
    const name = Buffer.from([0x62, 0xff, 0xfe, 0xe9]);
    await create(root, "vm/x.qcow2");
    await fill(root, "vm/x.qcow2", 5, 2);
    await rename(path.join(root, "vm/x.qcow2"), Buffer.concat([Buffer.from(`${root}/vm/`), name]));
    await create(root, "vm/top.qcow2");
    await setBacking(path.join(root, "vm/top.qcow2"), name);
    expect(await chainOf("vm/top.qcow2")).toEqual(["vm/top.qcow2", "vm/b\ufffd\ufffd\ufffd"]);
    const disk = await openExport({ repositoryRoot: root, path: "vm/top.qcow2", runDir: path.join(folder, "run") });
    const source = await openNbd({ socketPath: disk.socketPath });
    expect((await source.read(2 * 1024 * 1024, 1))[0]).toBe(5);
    await source.close();
    await disk.close();
  });

  test("a raw base that the header calls raw", async () => {
    await writeFile(path.join(root, "vm/base.raw"), Buffer.alloc(16 << 20, 0x33));
    await createOver(root, "vm/top.qcow2", "base.raw", "raw");
    await fill(root, "vm/top.qcow2", 4, 4);
    expect(await chainOf("vm/top.qcow2")).toEqual(["vm/top.qcow2", "vm/base.raw"]);
    await expectSameDisk("vm/top.qcow2");
  });

  test("a base that is called raw is never looked into, even when it is qcow2", async () => {
    await create(root, "vm/base.qcow2");
    await create(root, "vm/top.qcow2");
    await setBacking(path.join(root, "vm/base.qcow2"), "../../outside");
    await setBacking(path.join(root, "vm/top.qcow2"), "base.qcow2", "raw");
    expect(await chainOf("vm/top.qcow2")).toEqual(["vm/top.qcow2", "vm/base.qcow2"]);
  });

  test("a base of unstated format that is qcow2 by its magic", async () => {
    await create(root, "vm/base.qcow2");
    await create(root, "vm/top.qcow2");
    await setBacking(path.join(root, "vm/top.qcow2"), "base.qcow2", null);
    expect(await chainOf("vm/top.qcow2")).toEqual(["vm/top.qcow2", "vm/base.qcow2"]);
  });

  test.each([
    "compat=0.10",
    "cluster_size=512",
    "cluster_size=4k",
    "cluster_size=2M",
    "extended_l2=on,cluster_size=128k",
    "lazy_refcounts=on",
    "refcount_bits=1",
    "refcount_bits=4",
    "refcount_bits=64",
    "preallocation=metadata",
    "preallocation=falloc",
  ])("images made with %s", async (options) => {
    await create(root, "vm/disk.qcow2", "-o", options);
    await fill(root, "vm/disk.qcow2", 6, 1, 3);
    await fill(root, "vm/disk.qcow2", 8, 15, 1);
    await expectSameDisk("vm/disk.qcow2");
  });

  test.each(["zlib", "zstd"])("compressed clusters, %s", async (compression) => {
    const raw = Buffer.alloc(8 << 20);
    for (let at = 0; at < raw.length; at += 4) raw.writeUInt32LE((at * 2654435761) >>> (at & 0x10000 ? 0 : 20), at);
    await writeFile(path.join(folder, "data.raw"), raw);
    await qemuImg(root, "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", `compression_type=${compression}`, path.join(folder, "data.raw"), "vm/disk.qcow2");
    await expectSameDisk("vm/disk.qcow2");
  });

  test("every qcow2 of the shared collection, as qemu-img reads it", async (context) => {
    const images = process.env["PLUCK_SHARED_IMAGES"] ?? path.resolve(import.meta.dirname, "../../../shared/images");
    const files = await readdir(images, { recursive: true }).catch(() => []);
    const qcow2 = files.filter((file) => file.endsWith(".qcow2"));
    if (qcow2.length === 0) return context.skip("the folder of shared images is not there");
    for (const file of qcow2) await inspectQcow2({ repositoryRoot: images, path: file });
    root = images;
    for (const file of qcow2.filter((name) => name.startsWith("qcow2/"))) await expectSameDisk(file);
  });
});

describe("chains that are refused", () => {
  beforeEach(async () => {
    await create(root, "vm/top.qcow2");
    await create(folder, "outside.qcow2");
  });

  test.each(["../../outside.qcow2", "../../not-there.qcow2", "../../repository-2/x.qcow2", "/etc/passwd", "/etc/not-there", "/dev/null", "/dev/not-there"])(
    "a base outside the repository, whether or not it is there: %s",
    async (name) => {
      await setBacking(path.join(root, "vm/top.qcow2"), name);
      await expectRefusal("vm/top.qcow2", "chain_outside_repository", /lies outside the repository/);
      await expectRefusal(name.startsWith("/") ? name : `vm/${name}`, "chain_outside_repository");
    },
  );

  test("a symlink that leaves the repository, as the file, as the base, as a folder on the way", async () => {
    await symlink("../../outside.qcow2", path.join(root, "vm/link.qcow2"));
    await symlink(folder, path.join(root, "vm/up"));
    await expectRefusal("vm/link.qcow2", "chain_outside_repository");
    await expectRefusal("vm/up/outside.qcow2", "chain_outside_repository");
    await setBacking(path.join(root, "vm/top.qcow2"), "link.qcow2");
    await expectRefusal("vm/top.qcow2", "chain_outside_repository");
    await setBacking(path.join(root, "vm/top.qcow2"), "up/outside.qcow2");
    await expectRefusal("vm/top.qcow2", "chain_outside_repository");
  });

  test('a ".." after a symlink means what the file system says', async () => {
    await mkdir(path.join(folder, "elsewhere/deep"), { recursive: true });
    await symlink(path.join(folder, "elsewhere/deep"), path.join(root, "vm/link"));
    await create(folder, "elsewhere/x.qcow2");
    await create(root, "vm/x.qcow2");
    // By spelling this is vm/x.qcow2; for the kernel it is elsewhere/x.qcow2.
    await setBacking(path.join(root, "vm/top.qcow2"), "link/../x.qcow2");
    await expectRefusal("vm/top.qcow2", "chain_outside_repository");
  });

  test.each([
    'json:{"driver":"file","filename":"/etc/passwd"}',
    "nbd:127.0.0.1:10809",
    "nbd+unix:///?socket=/tmp/x",
    "http://example.com/x.qcow2",
    "file:base.qcow2",
    "fd:3",
    "host_device:/dev/sda",
  ])("a base that is not a plain path: %s", async (name) => {
    await setBacking(path.join(root, "vm/top.qcow2"), name);
    await expectRefusal("vm/top.qcow2", "chain_outside_repository", /not a path of a file/);
  });

  test("a missing file in the middle, by name", async () => {
    await createOver(root, "vm/1.qcow2", "top.qcow2");
    await createOver(root, "vm/2.qcow2", "1.qcow2");
    await rename(path.join(root, "vm/1.qcow2"), path.join(folder, "away"));
    await expect(readBackingChain({ repositoryRoot: root, path: "vm/2.qcow2" })).rejects.toMatchObject({
      code: "qcow2_missing",
      message: "vm/1.qcow2 is not there",
      extra: { file: "vm/1.qcow2" },
    });
    await expectRefusal("vm/no-such.qcow2", "qcow2_missing", /vm\/no-such.qcow2/);
    const relativeRoot = path.relative(process.cwd(), root);
    await expect(readBackingChain({ repositoryRoot: relativeRoot, path: "vm/no-such.qcow2" })).rejects.toEqual(error("qcow2_missing"));
    expect((await readBackingChain({ repositoryRoot: relativeRoot, path: "vm/top.qcow2" })).files).toHaveLength(1);
    await expectRefusal("no/such/folder.qcow2", "qcow2_missing");
  });

  test("loops", async () => {
    await setBacking(path.join(root, "vm/top.qcow2"), "top.qcow2");
    await expectRefusal("vm/top.qcow2", "corrupt", /comes back to vm\/top.qcow2/);
    await copyFile(path.join(root, "vm/top.qcow2"), path.join(root, "vm/b.qcow2"));
    await setBacking(path.join(root, "vm/top.qcow2"), "b.qcow2");
    await expectRefusal("vm/top.qcow2", "corrupt", /comes back to/);
    await symlink("loop.qcow2", path.join(root, "vm/loop.qcow2"));
    await expectRefusal("vm/loop.qcow2", "corrupt", /ELOOP/);
  });

  test("chains beyond the bound", async () => {
    for (let index = 0; index < MAX_CHAIN_FILES; index += 1) {
      const file = path.join(root, `vm/${index}.qcow2`);
      await copyFile(path.join(root, "vm/top.qcow2"), file);
      await setBacking(file, index === 0 ? "top.qcow2" : `${index - 1}.qcow2`);
    }
    await expectRefusal(`vm/${MAX_CHAIN_FILES - 1}.qcow2`, "unsupported", /more than 256 files/);
    expect(await chainOf(`vm/${MAX_CHAIN_FILES - 2}.qcow2`)).toHaveLength(MAX_CHAIN_FILES);
  });

  test("an external data file", async () => {
    await create(root, "vm/external.qcow2", "-o", "data_file=data.raw");
    await expectRefusal("vm/external.qcow2", "unsupported", /vm\/external.qcow2: .*external data file/);
  });

  test("encryption", async () => {
    const secret = ["--object", "secret,id=s,data=abc"];
    await qemuImg(root, "create", "-q", "-f", "qcow2", ...secret, "-o", "encrypt.format=aes,encrypt.key-secret=s", "vm/aes.qcow2", "1M");
    await expectRefusal("vm/aes.qcow2", "unsupported", /encryption \(AES\)/);
    // Making a LUKS image takes seconds of key stretching; the header field alone decides.
    await patch(path.join(root, "vm/top.qcow2"), 35, Uint8Array.of(2));
    await expectRefusal("vm/top.qcow2", "unsupported", /encryption \(LUKS\)/);
  });

  test("a base of another format, stated or not", async () => {
    await qemuImg(root, "create", "-q", "-f", "vmdk", "vm/base.vmdk", "1M");
    await setBacking(path.join(root, "vm/top.qcow2"), "base.vmdk", "vmdk");
    await expectRefusal("vm/top.qcow2", "unsupported", /"vmdk"/);
    await setBacking(path.join(root, "vm/top.qcow2"), "base.vmdk", null);
    await expectRefusal("vm/top.qcow2", "unsupported", /unstated format/);
    await setBacking(path.join(root, "vm/top.qcow2"), "base.vmdk", "qcow2");
    await expectRefusal("vm/top.qcow2", "corrupt", /vm\/base.vmdk.*expected 0x514649fb/);
  });

  test("what is no regular file", async () => {
    await execa("mkfifo", [path.join(root, "vm/fifo")]);
    await expectRefusal("vm/fifo", "chain_outside_repository", /not a regular file/);
    await expectRefusal("vm", "chain_outside_repository", /not a regular file/);
    await expectRefusal("", "chain_outside_repository");
    await expectRefusal("vm/\0", "invalid_request");
  });

  test("files that are no qcow2, or cut short anywhere", async () => {
    const file = path.join(root, "vm/top.qcow2");
    await fill(root, "vm/top.qcow2", 3, 0, 8);
    const { size } = await stat(file);
    await readBackingChain({ repositoryRoot: root, path: "vm/top.qcow2" });
    for (const length of [size - 65_536, 300_000, 65_536, 1000, 103, 71, 3, 0]) {
      await truncate(file, length);
      await expectRefusal("vm/top.qcow2", "corrupt");
    }
    await writeFile(file, "this is not a disk image at all");
    await expectRefusal("vm/top.qcow2", "corrupt", /starts with 0x74686973/);
  });

  test("an image that QEMU has marked corrupt, and unknown features", async () => {
    const file = path.join(root, "vm/top.qcow2");
    await patch(file, 79, Uint8Array.of(2));
    await expectRefusal("vm/top.qcow2", "corrupt", /marked/);
    await patch(file, 79, Uint8Array.of(0x80));
    await expectRefusal("vm/top.qcow2", "unsupported", /incompatible feature 0x80/);
    await patch(file, 79, Uint8Array.of(0));
    await patch(file, 7, Uint8Array.of(4));
    await expectRefusal("vm/top.qcow2", "unsupported", /version 4/);
  });

  test("a repository that is not there", async () => {
    await expect(readBackingChain({ repositoryRoot: path.join(folder, "no"), path: "x" })).rejects.toEqual(error("io_error"));
  });
});
