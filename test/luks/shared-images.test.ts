import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { openDisk } from "../../agent/reader/disk.ts";
import { readLuksHeader, readLuksIdentity, unlockLuks } from "../../agent/volumes/luks/luks.ts";
import { openImageSource } from "../tools/image-source.ts";
import { noSharedImages, rawFromQcow2, sharedImages } from "../tools/shared-images.ts";

interface OpenFacts {
  readonly passphrase: string;
  readonly plaintext_size: number;
  readonly plaintext_sha256: string;
}

const images = sharedImages("luks");
const named = (name: string) => images.find((image) => image.name === `luks/${name}`);

async function openImage(name: string) {
  const image = named(name);
  if (image === undefined) throw new Error(`no image ${name}`);
  return openImageSource(await rawFromQcow2(image.qcow2Path));
}

describe.skipIf(images.length === 0)(`LUKS volumes of others (${noSharedImages})`, () => {
  const openable = images.flatMap(({ name, qcow2Path }) => {
    const facts = qcow2Path.replace(/\.qcow2$/, ".open.json.zst");
    if (!existsSync(facts)) return [];
    return [{ name: name.slice("luks/".length), ...(JSON.parse(zstdDecompressSync(readFileSync(facts)).toString()) as OpenFacts) }];
  });

  test.each(openable)("$name decrypts to what cryptsetup decrypts", { timeout: 300_000 }, async ({ name, passphrase, plaintext_size, plaintext_sha256 }) => {
    const source = await openImage(name);
    try {
      const header = await readLuksHeader(source);
      const plain = await unlockLuks(source, header, Buffer.from(passphrase));
      expect(plain?.sizeBytes).toBe(plaintext_size);
      const bytes = new Uint8Array(plaintext_size);
      await plain!.readInto(0, bytes);
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(plaintext_sha256);
    } finally {
      await source.close();
    }
  });

  test("another passphrase opens nothing", async () => {
    const source = await openImage("cs_luks1_compat");
    const header = await readLuksHeader(source);
    for (const wrong of ["compatkey ", "compatke", "Compatkey", ""]) expect(await unlockLuks(source, header, Buffer.from(wrong))).toBeUndefined();
    await source.close();
  });

  test("a disk that is one encrypted volume is listed as locked, and unlocked keeps its name", async () => {
    const source = await openImage("cs_luks1_compat");
    const disk = await openDisk(source, { diskId: "d" });
    expect(disk.volumes).toEqual([expect.objectContaining({ name: "disk", filesystem_type: "crypto_LUKS", readable: false, uuid: expect.stringMatching(/^[0-9a-f-]{36}$/), error: expect.objectContaining({ code: "volume_locked" }) })]);
    await expect(disk.list({ segments: ["disk"], withinDepth: 0, recursive: false, limit: 10 })).rejects.toMatchObject({ code: "volume_locked" });
    await expect(disk.unlock({ volume: "disk", secret: Buffer.from("wrong") })).rejects.toMatchObject({ code: "wrong_key" });
    await disk.unlock({ volume: "disk", secret: Buffer.from("compatkey") });
    // The suite that made it put no filesystem inside.
    expect(disk.volumes).toEqual([expect.objectContaining({ name: "disk", size_bytes: 9_711_616, error: expect.objectContaining({ code: "unsupported" }) })]);
    await disk.close();
    await source.close();
  });

  test.each([
    ["cs_evil_hdr-keyslot_overlap"],
    ["cs_evil_hdr-small_luks_device"],
  ])("%s is corrupt, and named with its UUID all the same", async (name) => {
    const source = await openImage(name);
    await expect(readLuksHeader(source)).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("but the volume has") });
    expect((await readLuksIdentity(source)).uuid).toMatch(/^[0-9a-f-]{36}$/);
    await source.close();
  });

  test.each(["cs_luks2_mda_16k", "cs_luks2_mda_1024k", "cs_luks2_mda_4096k", "cs_luks1_aes-xts-plain64-sha256"])("%s: its header is read", async (name) => {
    const source = await openImage(name);
    const header = await readLuksHeader(source);
    expect(header.encryption).toBe("aes-xts-plain64");
    expect(header.uuid).toMatch(/^[0-9a-f-]{36}$/);
    await source.close();
  });
});
