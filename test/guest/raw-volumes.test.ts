import { createHash } from "node:crypto";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDisk, type OpenDisk } from "../../agent/reader/disk.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { openImageSource } from "../tools/image-source.ts";

// Volumes that nothing here reads, made by the formats' own tools, and named as blkid names them.

const mebibyte = 1024 * 1024;
/** Size in MiB, the command, and a word of what to do instead. */
const kinds = [
  { name: "swap", size: 8, command: ["mkswap"], advice: "holds no files" },
  { name: "f2fs", size: 64, command: ["mkfs.f2fs", "-f", "-q"], advice: "-t f2fs" },
  { name: "jfs", size: 16, command: ["mkfs.jfs", "-q"], advice: "-t jfs" },
  { name: "reiserfs", size: 36, command: ["mkfs.reiserfs", "-q", "-f", "-f"], advice: "-t reiserfs" },
  { name: "zeros", size: 4, command: ["true"], advice: "no known filesystem" },
] as const;

describe("volumes that nothing reads", () => {
  let folder: string;
  let disk: OpenDisk;

  beforeAll(async () => {
    requireTools("sfdisk", "blkid", "mkswap", "mkfs.f2fs", "mkfs.jfs", "mkfs.reiserfs");
    folder = await temporaryFolder();
    const image = join(folder, "disk.raw");
    await execa("truncate", ["-s", "140M", image]);
    await execa("sfdisk", ["-q", image], { input: ["label: gpt", ...kinds.map(({ size }) => `size=${size}MiB`), ""].join("\n") });
    const file = await open(image, "r+");
    let offset = mebibyte;
    for (const { name, size, command: [program, ...options] } of kinds) {
      const part = join(folder, name);
      await execa("truncate", ["-s", `${size}M`, part]);
      await execa(program, [...options, part]);
      await file.write(await readFile(part), 0, undefined, offset);
      offset += size * mebibyte;
    }
    await file.close();
    disk = await openDisk(openImageSource(image), { diskId: "raw" });
  });

  afterAll(async () => {
    await disk?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test.each(kinds.map((kind, index) => ({ ...kind, volume: `p${index + 1}` })))("$name is named, says what to do, and comes raw", async ({ name, volume, advice }) => {
    const summary = disk.volumes.find((one) => one.name === volume);
    const part = join(folder, name);
    const { stdout } = await execa("blkid", ["-p", "-o", "value", "-s", "TYPE", part], { reject: false });
    expect(summary).toMatchObject({ filesystem_type: stdout === "" ? null : stdout, readable: false, error: { code: "unsupported" } });
    expect(summary?.error?.detail).toContain(advice);
    expect(summary?.error?.detail).toContain(`/download?path=/${volume}&raw=true`);
    const request = { segments: [volume], withinDepth: 1, raw: true };
    const expected = await readFile(part);
    const { size, etag } = await disk.resolve(request);
    expect([size, (await disk.resolve(request)).etag]).toEqual([expected.length, etag]);
    const hash = createHash("sha256");
    for await (const bytes of disk.read({ ...request, offset: 0, length: size })) hash.update(bytes);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(expected).digest("hex"));
    const some = await new Response(disk.read({ ...request, offset: 4000, length: 9000 })).bytes();
    expect(Buffer.from(some).equals(expected.subarray(4000, 13_000))).toBe(true);
  });

  test("only a whole volume is raw", async () => {
    for (const segments of [[], ["p1", "x"]]) await expect(disk.resolve({ segments, withinDepth: 0, raw: true })).rejects.toMatchObject({ code: "invalid_request" });
    await expect(disk.resolve({ segments: ["p9"], withinDepth: 0, raw: true })).rejects.toMatchObject({ code: "path_not_found" });
    const past = disk.read({ segments: ["p1"], withinDepth: 1, raw: true, offset: 8 * mebibyte, length: 1 });
    await expect(new Response(past).bytes()).rejects.toMatchObject({ code: "range_not_satisfiable" });
  });
});
