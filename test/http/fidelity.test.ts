import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { exportJWK, generateKeyPair } from "jose";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createAgentApp } from "../../agent/http/app.ts";
import { createAgentMetrics } from "../../agent/http/metrics.ts";
import { createOpenMounts } from "../../agent/mounts/open-mounts.ts";
import type { OpenMounts } from "../../agent/mounts/open-mount.ts";
import { linkUrl, openLinkSigner, signLink, type ArchiveFormat, type LinkSigner } from "../../shared/link.ts";
import { describeAsRoot, requireTools } from "../tools/environment.ts";
import { withLoopMount } from "../tools/loop-mount.ts";

/**
 * The property: an archive from Pluck, unpacked, is what the kernel shows of the same filesystem. The
 * kernel wrote it, and the kernel's own mount is what the result is held against.
 */
describeAsRoot("an archive of a real ext4, unpacked beside the kernel's mount of it", () => {
  let work: string;
  let raw: string;
  let mounts: OpenMounts;
  let signer: LinkSigner;
  let app: ReturnType<typeof createAgentApp>;

  beforeAll(async () => {
    requireTools("mkfs.ext4", "qemu-img", "tar", "getfattr", "setfattr", "find", "unzip", "zstd", "bsdtar");
    work = await mkdtemp(join(tmpdir(), "pluck-fidelity-"));
    raw = join(work, "disk.raw");
    await execa("truncate", ["-s", "96M", raw]);
    await execa("mkfs.ext4", ["-q", "-F", "-b", "4096", raw]);
    await withLoopMount(raw, { readOnly: false, type: "ext4" }, populate);
    const repository = join(work, "repository");
    await mkdir(repository);
    await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, join(repository, "disk.qcow2")]);
    const keys = await generateKeyPair("EdDSA", { extractable: true });
    signer = await openLinkSigner({ ...(await exportJWK(keys.privateKey)), kid: "k1" });
    const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1" } as { kty: string; kid: string }] };
    const runDir = join(work, "run");
    await mkdir(runDir, { mode: 0o700 });
    mounts = createOpenMounts({ repositoryRoot: repository, runDir, slots: 1 });
    await mounts.open({ mountId: "m1", qcow2Path: "disk.qcow2", jwks, webOrigin: null });
    app = createAgentApp({ agentId: "a1", mounts, logger: pino({ level: "silent" }), metrics: createAgentMetrics(mounts), report: () => undefined });
  });
  afterAll(async () => {
    await mounts?.close();
    await rm(work, { recursive: true, force: true });
  });

  async function unpack(format: ArchiveFormat, program: string, args: (archive: string, target: string) => string[]): Promise<string> {
    const { token } = await signLink(signer, { agentId: "a1", mountId: "m1", operation: "archive", path: "/disk/tree", format, user: "t" }, 60);
    const response = await app.request(linkUrl("", "m1", "archive", { path: "/disk/tree", token, format }));
    expect(response.status).toBe(200);
    const archive = join(work, `tree.${format}`);
    await writeFile(archive, Buffer.from(await response.arrayBuffer()));
    const target = join(work, `unpacked-${program}-${format}`);
    await mkdir(target);
    await execa(program, args(archive, target), { env: { LC_ALL: "C.UTF-8" } });
    return join(target, "tree");
  }

  it.each(["tar", "tar.gz", "tar.zst"] as const)("%s by GNU tar: names, types, modes, owners, times, links, holes, attributes, contents", async (format) => {
    const unpacked = await unpack(format, "tar", (archive, target) => ["-xpf", archive, "-C", target, "--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner"]);
    await withLoopMount(raw, { type: "ext4" }, async (mounted) => {
      const tree = join(mounted, "tree");
      expect(await listing(unpacked)).toEqual(await listing(tree));
      expect(await attributes(unpacked)).toEqual(await attributes(tree));
      expect(await devices(unpacked)).toBe(await devices(tree));
      // diff calls two special files different whatever they are.
      expect(await differences(tree, unpacked, /is a (block|character) special file|is a fifo|Only in .*: socket$/)).toEqual([]);
      const { stdout } = await execa("find", [unpacked, "-name", "*.sparse", "-printf", "%P %S\n"]);
      // %S: allocated by size; below 1 there are holes.
      for (const line of stdout.split("\n")) expect(Number(line.split(" ")[1])).toBeLessThan(0.5);
    });
  });

  // Names with control characters or bytes that are not UTF-8 are spelt with %XX in a zip: not here.
  it("zip by Info-ZIP: every file's bytes, symlinks, types", async () => {
    const unpacked = await unpack("zip", "unzip", (archive, target) => ["-qq", archive, "-d", target]);
    await withLoopMount(raw, { type: "ext4" }, async (mounted) => {
      const tree = join(mounted, "tree");
      const of = async (folder: string) => {
        const { stdout } = await execa("find", [folder, "-not", "-name", "*latin*", "-not", "-name", "*here", "(", "-type", "f", "-o", "-type", "d", "-o", "-type", "l", ")", "-printf", "%P\\0%y\\0%l\n"]);
        return stdout.split("\n").sort();
      };
      expect(await of(unpacked)).toEqual(await of(tree));
      expect(await differences(tree, unpacked, /latin|here|Only in .*: (pipe|null|loop|socket)$/)).toEqual([]);
    });
  });
});

/** Everything `find` can say of each entry; sockets are no part of a tar. */
async function listing(folder: string): Promise<string[]> {
  const format = "%P\\0%y\\0%m\\0%U:%G\\0%T@\\0%l\\0%n\\0%s\\0\n";
  const { stdout } = await execa("find", [folder, "-not", "-type", "s", "-printf", format], { encoding: "buffer" });
  return Buffer.from(stdout)
    .toString("latin1")
    .split("\n")
    // A folder's size and link count are its filesystem's own affair.
    .map((line) => (line.split("\0")[1] === "d" ? line.split("\0").slice(0, 6).join("\0") : line))
    .sort();
}

async function devices(folder: string): Promise<string> {
  return (await execa("stat", ["-c", "%n %t:%T", "null", "loop"], { cwd: folder })).stdout;
}

/** What \`diff -r\` says, byte by byte of every file, without the lines that are expected. */
async function differences(one: string, other: string, expected: RegExp): Promise<string[]> {
  const { stdout, stderr } = await execa("diff", ["-r", "--no-dereference", one, other], { reject: false, env: { LC_ALL: "C" } });
  return [...stdout.split("\n"), stderr].filter((line) => line !== "" && !expected.test(line));
}

async function attributes(folder: string): Promise<string> {
  const { stdout } = await execa("getfattr", ["-R", "-h", "-d", "-m", "-", "-e", "hex", "."], { cwd: folder });
  return stdout.trim().split("\n\n").sort().join("\n\n");
}

async function populate(mounted: string): Promise<void> {
  const tree = join(mounted, "tree");
  const script = `
set -e
cd "$1"
mkdir -p sub/deeper "sub/$(printf 'n%.0s' $(seq 200))"
echo one > sub/one
ln sub/one sub/two; ln sub/one hard-link-above
printf 'x%.0s' $(seq 100000) > sub/deeper/text
head -c 3000000 /dev/urandom > random.bin
truncate -s 9000000 a.sparse; printf data | dd of=a.sparse bs=1 seek=4000000 conv=notrunc status=none
truncate -s 7000000 b.sparse; printf end | dd of=b.sparse bs=1 seek=8000000 conv=notrunc status=none
truncate -s 5000000 c.sparse
: > empty
echo "$(printf 'b%.0s' $(seq 2000))" > medium
printf 'latin' > "$(printf 'caf\\351-latin')"
printf 'utf8' > 'grüße 🐘'
printf 'ctl' > "$(printf 'tab\\there')"
ln -s sub/one link; ln -s /absolute/nowhere dangling; ln -s "$(printf 't%.0s' $(seq 500))" long-link; ln -s "$(printf 'l\\351')" latin-link
mkfifo pipe; mknod null c 1 3; mknod loop b 7 200
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('socket')"
echo no > no-rights; chmod 000 no-rights
echo s > setuid; chmod 6755 setuid; mkdir sticky; chmod 1777 sticky
echo o > owned; chown 123456:3000000000 owned; chown -h 7:8 link
setfattr -n user.comment -v 'a comment' sub/one; setfattr -n user.bytes -v 0x00ff0a3d random.bin; setfattr -n trusted.t -v tt sub; setfattr -n user.long -v "$(printf 'v%.0s' $(seq 2000))" medium
touch -d '1901-12-14 00:00:01.5 UTC' old; touch -d '2201-01-02 03:04:05.123456789 UTC' new; touch -h -d '2020-01-01 00:00:00.987654321 UTC' link
touch -d '2021-02-03 04:05:06.000000001 UTC' sub
`;
  await mkdir(tree);
  await execa("bash", ["-c", script, "populate", tree]);
}
