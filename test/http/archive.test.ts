import { lstat, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ArchiveFormat } from "../../shared/link.ts";
import { textToByteString } from "../../agent/filesystems/byte-string.ts";
import { isRoot, requireTools } from "../tools/environment.ts";
import { createFakeAgent } from "./fake-agent.ts";
import { file, folder, patternOf } from "./fake-reader.ts";

/** Archives as other people's tools read them: Info-ZIP, 7-Zip, Python, libarchive, GNU tar. */
requireTools("unzip", "7z", "python3", "bsdtar", "tar", "zstd", "getfattr");

const before1970 = { seconds: -2, nanoseconds: 750_000_000, digits: 9 };
const after2038 = { seconds: 4_102_444_800, nanoseconds: 1, digits: 9 };
const longName = `${"long-".repeat(50)}.txt`;
const sparseBytes = 3_000_000;

const tree = folder("tree", [
  folder("sub", [
    file("one", "one", { mode: 0o600, uid: 1000, gid: 1001 }),
    { ...file("two", "one", { mode: 0o600, uid: 1000, gid: 1001 }), hardLinkOf: ["sub", "one"] },
    folder("empty", [], { mode: 0o1777 }),
    folder(longName, [file(longName, "deep")]),
  ], { mode: 0o2750 }),
  file("empty", ""),
  file("no-rights", "x", { mode: 0 }),
  file("setuid", "x", { mode: 0o4755 }),
  file("grüße 🐘.txt", "text"),
  file("before1970", "b", { modifiedAt: before1970 }),
  file("after2038", "a", { modifiedAt: after2038 }),
  file("big-ids", "i", { uid: 3_000_000_000, gid: 4_000_000_000 }),
  file("attributes", "x", { xattrs: [["user.comment", Buffer.from("hello\nworld")], ["user.bytes", Buffer.from([0, 255, 10, 61])], ["user.a=b%", Buffer.from("=")]] }),
  { name: "pattern.bin", type: "file", patternBytes: 1_500_000 },
  { name: "sparse.bin", type: "file", patternBytes: sparseBytes, dataRanges: [{ offset: 4096, length: 8192 }, { offset: 1_048_576, length: 700_000 }] },
  { name: "all-hole.bin", type: "file", patternBytes: 5_000_000, dataRanges: [] },
  { name: "link", type: "symlink", symlinkTarget: "sub/one" },
  { name: "link-out", type: "symlink", symlinkTarget: "../../../etc/passwd" },
  { name: "long-link", type: "symlink", symlinkTarget: `${"x/".repeat(300)}y` },
  { name: "link-b\xfcytes", type: "symlink", symlinkTarget: "t\xfcarget" },
  { name: "caf\xe9", type: "file", bytes: Buffer.from("latin-1") },
  { name: "pipe", type: "other", mode: 0o010644 },
  { name: "null", type: "other", mode: 0o020666, deviceMajor: 1, deviceMinor: 3 },
  { name: "disk", type: "other", mode: 0o060660, deviceMajor: 259, deviceMinor: 1_000_000 },
  { name: "socket", type: "other", mode: 0o140755 },
]);

const hostile = folder("hostile", [
  file("twice", "first"),
  file("twice", "second"),
  file("twice~2", "third"),
  folder("folder", [file("a", "a1")]),
  folder("folder", [file("a", "a2")]),
  { name: "..", type: "file", bytes: Buffer.from("up") },
  { name: ".", type: "file", bytes: Buffer.from("here") },
  { name: "../../escape", type: "file", bytes: Buffer.from("slash") },
  { name: "/etc/cron.d/x", type: "file", bytes: Buffer.from("absolute") },
  { name: "..\\..\\windows", type: "file", bytes: Buffer.from("backslash") },
  { name: "C:evil", type: "file", bytes: Buffer.from("drive") },
  { name: "nul\0byte", type: "file", bytes: Buffer.from("nul") },
  { name: "new\nline\x1b[31m", type: "file", bytes: Buffer.from("control") },
  { name: "", type: "file", bytes: Buffer.from("nameless") },
  { name: "\xff\xfe", type: "file", bytes: Buffer.from("bytes") },
  { name: "%FF%FE", type: "file", bytes: Buffer.from("text") },
  file(" leading and trailing ", "space"),
  file("-rf", "option"),
]);

const broken = folder("broken", [
  file("good", "good"),
  { name: "bad", type: "file", error: { code: "corrupt", detail: "inode 12 at byte 4096: checksum 0x1, expected 0x2" } },
  { name: "bad-link", type: "file", hardLinkOf: ["bad"] },
  { name: "b\xfcd\n", type: "directory", error: { code: "unsupported", detail: "encrypted" } },
  file("last", "last"),
]);

let work: string;
let agent: Awaited<ReturnType<typeof createFakeAgent>>;

beforeAll(async () => {
  // A real filesystem: tmpfs keeps no user attributes on older kernels.
  work = await mkdtemp(join(tmpdir(), "pluck-archive-"));
  agent = await createFakeAgent([folder("p1", [tree, hostile, broken, file("alone.txt", "alone", { mode: 0o640 })]), folder("p2", [file("other", "other")])]);
});
afterAll(async () => {
  await execa("chmod", ["-R", "u+rwx", work], { reject: false });
  await rm(work, { recursive: true, force: true });
});

async function fetchArchive(path: string, format: ArchiveFormat, more: Record<string, string> = {}): Promise<string> {
  const response = await agent.get("archive", path, {}, { format, ...more });
  expect(response.status).toBe(200);
  const target = join(work, `${path.replaceAll("/", "_")}.${format}`);
  await writeFile(target, Buffer.from(await response.arrayBuffer()));
  return target;
}

async function unpackFolder(name: string): Promise<string> {
  const target = join(work, name);
  await rm(target, { recursive: true, force: true });
  await mkdir(target);
  return target;
}

async function python(script: string, ...args: string[]): Promise<unknown> {
  const { stdout } = await execa("python3", ["-c", script, ...args]);
  return JSON.parse(stdout);
}

/** Python's zipfile checks every CRC and gives names, modes and contents. */
const readZip = `
import sys, json, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print(json.dumps([[i.filename, oct(i.external_attr >> 16), z.read(i).decode('latin-1') if i.file_size < 100000 else i.file_size] for i in z.infolist()]))
`;

describe("zip", () => {
  it("is accepted by Info-ZIP, 7-Zip, Python and libarchive, from a file and from a pipe", async () => {
    const zip = await fetchArchive("/p1/tree", "zip");
    await execa("unzip", ["-tq", zip]);
    await execa("7z", ["t", zip]);
    const entries = (await python(readZip, zip)) as [string, string, string | number][];
    const byName = new Map(entries.map(([name, mode, data]) => [name, { mode, data }]));
    expect(byName.get("tree/")).toEqual({ mode: "0o40755", data: "" });
    expect(byName.get("tree/sub/")?.mode).toBe("0o42750");
    expect(byName.get("tree/sub/one")).toEqual({ mode: "0o100600", data: "one" });
    // zip has no hard links: the bytes again.
    expect(byName.get("tree/sub/two")).toEqual({ mode: "0o100600", data: "one" });
    expect(byName.get("tree/no-rights")?.mode).toBe("0o100000");
    expect(byName.get("tree/link")).toEqual({ mode: "0o120777", data: "sub/one" });
    expect(byName.get("tree/grüße 🐘.txt")?.data).toBe("text");
    expect(byName.get("tree/caf%E9")?.data).toBe("latin-1");
    expect(byName.get(`tree/sub/${longName}/${longName}`)?.data).toBe("deep");
    expect([...byName.keys()].some((name) => /pipe|null|socket/.test(name))).toBe(false);

    const piped = await unpackFolder("zip-pipe");
    await execa("bsdtar", ["-xf", "-", "-C", piped], { inputFile: zip });
    const plain = await unpackFolder("zip-plain");
    await execa("unzip", ["-qq", zip, "-d", plain]);
    const expected = patternOf(0, 1_500_000);
    for (const folder of [piped, plain]) {
      expect((await readFile(join(folder, "tree/pattern.bin"))).equals(expected)).toBe(true);
      expect((await readFile(join(folder, "tree/sparse.bin"))).equals(expectedSparse())).toBe(true);
      expect(await readlink(join(folder, "tree/link"))).toBe("sub/one");
      expect((await lstat(join(folder, "tree/setuid"))).mode & 0o777).toBe(0o755);
      expect((await lstat(join(folder, "tree/pattern.bin"))).mtimeMs).toBe(1_759_947_871_000);
      // Neither knows the field that tells times before 1970: the nearest that MS-DOS has.
      expect((await lstat(join(folder, "tree/before1970"))).mtimeMs).toBe(Date.UTC(1980, 0, 1));
    }
    expect((await lstat(join(piped, "tree/all-hole.bin"))).size).toBe(5_000_000);
  });

  it("writes zip64 where 32 bits end: a file beyond 4 GiB, an entry after it, 70,000 entries", async () => {
    const far = await createFakeAgent([
      folder("p1", [
        { name: "huge", type: "file", patternBytes: 2 ** 32 + 100, dataRanges: [{ offset: 2 ** 32 + 10, length: 5 }] },
        file("after", "after"),
        folder("many", Array.from({ length: 70_000 }, (_, index) => file(`f${index}`, ""))),
      ]),
    ]);
    const target = join(work, "zip64.zip");
    const response = await far.get("archive", "/p1", {}, { format: "zip" });
    await writeFile(target, response.body as never);
    const seen = (await python(
      `
import sys, json, zipfile
z = zipfile.ZipFile(sys.argv[1])
print(json.dumps([len(z.infolist()), z.getinfo('p1/huge').file_size, z.read('p1/after').decode(), z.getinfo('p1/after').header_offset > 2**32]))
`,
      target,
    )) as unknown[];
    expect(seen).toEqual([70_004, 2 ** 32 + 100, "after", true]);
    const { stdout } = await execa("bsdtar", ["-tf", target]);
    expect(stdout.split("\n")).toHaveLength(70_004);
    // From a pipe too, where the length of the huge one is known only behind it.
    const { stdout: piped } = await execa("bsdtar", ["-tf", "-"], { inputFile: target });
    expect(piped).toBe(stdout);
    const unpacked = await unpackFolder("zip64");
    await execa("unzip", ["-qq", target, "p1/after", "-d", unpacked], { env: { TZ: "America/New_York" } });
    expect((await lstat(join(unpacked, "p1/after"))).mtimeMs).toBe(1_759_947_871_000);
    const { stdout: info } = await execa("unzip", ["-Z", "-h", target]);
    expect(info).toContain("70004");
    await rm(target);
  }, 600_000);

  it("makes hostile names harmless, readable and unique, and loses none", async () => {
    const zip = await fetchArchive("/p1/hostile", "zip");
    const entries = (await python(readZip, zip)) as [string, string, string][];
    const names = entries.map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).not.toMatch(/^\/|^[A-Za-z]:|\\|(^|\/)\.\.?(\/|$)|[\x00-\x1f]/);
    const contents = new Map(entries.map(([name, , data]) => [name, data]));
    expect(contents).toEqual(
      new Map([
        ["hostile/", ""], ["hostile/twice", "first"], ["hostile/twice~2", "second"], ["hostile/twice~2~2", "third"],
        ["hostile/folder/", ""], ["hostile/folder/a", "a1"], ["hostile/folder~2/", ""], ["hostile/folder~2/a", "a2"],
        ["hostile/%2E%2E", "up"], ["hostile/%2E", "here"], ["hostile/..%2F..%2Fescape", "slash"], ["hostile/%2Fetc%2Fcron.d%2Fx", "absolute"],
        ["hostile/..%5C..%5Cwindows", "backslash"], ["hostile/C%3Aevil", "drive"], ["hostile/nul%00byte", "nul"],
        ["hostile/new%0Aline%1B[31m", "control"], ["hostile/%00", "nameless"], ["hostile/%FF%FE", "bytes"], ["hostile/%FF%FE~2", "text"],
        ["hostile/ leading and trailing ", "space"], ["hostile/-rf", "option"],
      ]),
    );
    await execa("unzip", ["-qq", zip, "-d", await unpackFolder("hostile-zip")]);
    await execa("7z", ["t", zip]);
  });

  it("keeps colons, which are cut off only of a drive's name elsewhere", async () => {
    const colons = await createFakeAgent([folder("p1", [folder("backup:2025", [file("std::pair", "pair"), file("ab: c", "text")])])]);
    const target = join(work, "colons.zip");
    await writeFile(target, Buffer.from(await (await colons.get("archive", "/p1/backup:2025", {}, { format: "zip" })).arrayBuffer()));
    const entries = (await python(readZip, target)) as [string, string, string][];
    expect(entries.map(([name, , data]) => [name, data])).toEqual([["backup:2025/", ""], ["backup:2025/std::pair", "pair"], ["backup:2025/ab: c", "text"]]);
  });
});

describe("tar", () => {
  it.each(["tar", "tar.gz", "tar.zst"] as const)("%s unpacks with GNU tar to what the disk holds", async (format) => {
    const archive = await fetchArchive("/p1/tree", format);
    const target = await unpackFolder(`gnu-${format}`);
    const { stderr } = await execa("tar", ["-xpf", archive, "-C", target, "--xattrs", "--xattrs-include=*", "--numeric-owner"], { reject: isRoot() });
    // What GNU tar remarks on is right: it restores those times, and takes names for bytes in any case.
    const remarks = /implausibly old time stamp|in the future|Ignoring unknown extended header keyword 'hdrcharset'/;
    if (isRoot()) expect(stderr.split("\n").filter((line) => !remarks.test(line))).toEqual([]);
    const stat = async (name: string) => await lstat(join(target, "tree", name), { bigint: true });
    const nanoseconds = 1_759_947_871_123_456_789n;
    expect((await stat("sub/one")).mtimeNs).toBe(nanoseconds);
    expect((await stat("link")).mtimeNs).toBe(nanoseconds);
    expect((await stat("before1970")).mtimeNs).toBe(-1_250_000_000n);
    expect((await stat("after2038")).mtimeNs).toBe(4_102_444_800_000_000_001n);
    expect((await stat("sub/one")).ino).toBe((await stat("sub/two")).ino);
    expect((await stat("sub")).mode & 0o7777n).toBe(0o2750n);
    expect((await stat("sub/empty")).mode & 0o7777n).toBe(0o1777n);
    expect((await stat("setuid")).mode & 0o7777n).toBe(0o4755n);
    expect((await stat("no-rights")).mode & 0o7777n).toBe(0n);
    if (isRoot()) {
      expect([(await stat("sub/one")).uid, (await stat("sub/one")).gid]).toEqual([1000n, 1001n]);
      expect([(await stat("big-ids")).uid, (await stat("big-ids")).gid]).toEqual([3_000_000_000n, 4_000_000_000n]);
      expect((await stat("null")).isCharacterDevice()).toBe(true);
      expect((await stat("null")).rdev).toBe(0x103n);
      expect((await stat("disk")).isBlockDevice()).toBe(true);
    }
    expect((await stat("pipe")).isFIFO()).toBe(true);
    expect((await readFile(join(target, "tree/pattern.bin"))).equals(patternOf(0, 1_500_000))).toBe(true);
    expect((await readFile(join(target, "tree/sparse.bin"))).equals(expectedSparse())).toBe(true);
    expect((await stat("all-hole.bin")).size).toBe(5_000_000n);
    expect((await stat("all-hole.bin")).blocks).toBe(0n);
    expect((await stat("sparse.bin")).blocks).toBeLessThan(BigInt(Math.floor(sparseBytes / 512)));
    expect(await readlink(join(target, "tree/long-link"))).toBe(`${"x/".repeat(300)}y`);
    expect(await readlink(join(target, "tree/link-out"))).toBe("../../../etc/passwd");
    expect(await readFile(join(target, "tree/sub", longName, longName), "utf8")).toBe("deep");
    const names = readdirSync(Buffer.from(join(target, "tree")), { encoding: "buffer" }).map((name) => name.toString("latin1"));
    expect(names).toContain("caf\xe9");
    expect(names).toContain(textToByteString("grüße 🐘.txt"));
    expect(names).not.toContain("socket");
    const { stdout } = await execa("getfattr", ["-d", "-e", "hex", "--absolute-names", join(target, "tree/attributes")]);
    expect(stdout).toContain(`user.comment=0x${Buffer.from("hello\nworld").toString("hex")}`);
    expect(stdout).toContain("user.bytes=0x00ff0a3d");
    expect(stdout).toMatch(/user\.a\\075b%=0x3d|user\.a=b%=0x3d/);
  });

  it("reads the same in Python and libarchive", async () => {
    const archive = await fetchArchive("/p1/tree", "tar");
    const members = (await python(
      `
import sys, json, tarfile
t = tarfile.open(sys.argv[1], errors='surrogateescape')
print(json.dumps([[m.name.encode('utf-8', 'surrogateescape').decode('latin-1'), m.type.decode(), oct(m.mode), m.uid, m.gid, m.size, m.linkname.encode('utf-8', 'surrogateescape').decode('latin-1'), m.mtime] for m in t]))
`,
      archive,
    )) as [string, string, string, number, number, number, string, number][];
    const byName = new Map(members.map(([name, ...rest]) => [name, rest]));
    expect(byName.get("tree/caf\xe9")?.[4]).toBe(7);
    expect(byName.get("tree/link-b\xfcytes")?.[5]).toBe("t\xfcarget");
    expect(byName.get("tree/sub/two")?.slice(0, 6)).toEqual(["1", "0o600", 1000, 1001, 0, "tree/sub/one"]);
    expect(byName.get("tree/sparse.bin")?.[4]).toBe(sparseBytes);
    expect(byName.get("tree/big-ids")?.slice(2, 4)).toEqual([3_000_000_000, 4_000_000_000]);
    expect(byName.get("tree/before1970")?.[6]).toBe(-1.25);

    const target = await unpackFolder("bsdtar");
    await execa("bsdtar", ["-xpf", archive, "-C", target, "--exclude", "*/null", "--exclude", "*/disk"], { env: { LC_ALL: "C.UTF-8" }, reject: false });
    expect((await readFile(join(target, "tree/sparse.bin"))).equals(expectedSparse())).toBe(true);
    expect((await lstat(join(target, "tree/all-hole.bin"))).size).toBe(5_000_000);
    const names = readdirSync(Buffer.from(join(target, "tree")), { encoding: "buffer" }).map((name) => name.toString("latin1"));
    expect(names).toContain("caf\xe9");
  });

  it("holds a file beyond 8 GiB: the length in the records, all its zeros as a hole", async () => {
    const far = await createFakeAgent([folder("p1", [{ name: "huge", type: "file", patternBytes: 9 * 2 ** 30, dataRanges: [{ offset: 2 ** 33, length: 3 }] }, file("after", "after")])]);
    const target = join(work, "huge.tar");
    await writeFile(target, Buffer.from(await (await far.get("archive", "/p1", {}, { format: "tar" })).arrayBuffer()));
    expect((await lstat(target)).size).toBeLessThan(20_000);
    const { stdout } = await execa("tar", ["-tvf", target]);
    expect(stdout).toMatch(/9663676416 .* p1\/huge/);
    const unpacked = await unpackFolder("huge");
    await execa("tar", ["-xSf", target, "-C", unpacked]);
    expect((await lstat(join(unpacked, "p1/huge"))).size).toBe(9 * 2 ** 30);
    expect(await readFile(join(unpacked, "p1/after"), "utf8")).toBe("after");
  });

  it("makes hostile names harmless and unique, and loses none", async () => {
    const archive = await fetchArchive("/p1/hostile", "tar");
    const target = await unpackFolder("hostile-tar");
    // -P: tar's own protection is off, so what would lead out would be written there.
    await execa("tar", ["-xPf", archive, "-C", target]);
    const names = readdirSync(Buffer.from(join(target, "hostile")), { encoding: "buffer" }).map((name) => name.toString("latin1")).sort();
    expect(names).toEqual(
      [
        "twice", "twice~2", "twice~2~2", "folder", "folder~2", "%2E%2E", "%2E", "..%2F..%2Fescape", "%2Fetc%2Fcron.d%2Fx", "..\\..\\windows",
        "C:evil", "nul%00byte", "new\nline\x1b[31m", "%00", "\xff\xfe", "%FF%FE", " leading and trailing ", "-rf",
      ].sort(),
    );
    expect(await readFile(join(target, "hostile/folder~2/a"), "utf8")).toBe("a2");
    expect(readdirSync(target)).toEqual(["hostile"]);
  });
});

describe("an entry that can't be read", () => {
  it("ends the archive by default, before anything is sent when it is the first", async () => {
    const response = await agent.get("archive", "/p1/broken", {}, { format: "tar" });
    await expect(response.arrayBuffer()).rejects.toThrow("transfer broken off");
    expect(agent.events.at(-1)).toMatchObject({ outcome: "corrupt" });
  });

  it.each(["zip", "tar"] as const)("is named in the last entry of a %s with on_error=report", async (format) => {
    const archive = await fetchArchive("/p1/broken", format, { on_error: "report" });
    const target = await unpackFolder(`broken-${format}`);
    await execa("bsdtar", ["-xf", archive, "-C", target]);
    expect(readdirSync(join(target, "broken")).sort()).toEqual(["good", "last"]);
    const { stdout } = await execa("bsdtar", ["-tf", archive]);
    expect(stdout.split("\n").at(-1)).toBe("PLUCK-ERRORS.txt");
    const report = await readFile(join(target, "PLUCK-ERRORS.txt"), "utf8");
    expect(report.split("\n").slice(2)).toEqual([
      "/bad\tcorrupt\tinode 12 at byte 4096: checksum 0x1, expected 0x2",
      "/bad-link\tcorrupt\ta hard link of /bad, which can't be read",
      "/b%FCd%0A\tunsupported\tencrypted",
      "",
    ]);
  });
});

it("an archive of / has the volumes as folders, one of a file just that file", async () => {
  const { stdout } = await execa("tar", ["-tf", await fetchArchive("/p2", "tar")]);
  expect(stdout.split("\n")).toEqual(["p2/", "p2/other"]);
  const all = await createFakeAgent([folder("p1", [file("a", "a")]), folder("p2", [file("other", "other")])]);
  const response = await all.get("archive", "/", {}, { format: "tar" });
  expect(response.headers.get("content-disposition")).toBe("attachment; filename=m1.tar");
  const target = join(work, "all.tar");
  await writeFile(target, Buffer.from(await response.arrayBuffer()));
  expect((await execa("tar", ["-tf", target])).stdout.split("\n")).toEqual(["p1/", "p1/a", "p2/", "p2/other"]);
  const alone = await fetchArchive("/p1/alone.txt", "tar");
  expect((await execa("tar", ["-tvf", alone, "--numeric-owner"])).stdout).toMatch(/^-rw-r----- 0\/0 +5 .* alone.txt$/);
});

function expectedSparse(): Buffer {
  const bytes = Buffer.alloc(sparseBytes);
  patternOf(4096, 8192).copy(bytes, 4096);
  patternOf(1_048_576, 700_000).copy(bytes, 1_048_576);
  return bytes;
}
