import { createHash } from "node:crypto";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { memorySource } from "../../agent/blocks/memory-source.ts";
import { readLuksHeader, readLuksIdentity, unlockLuks } from "../../agent/volumes/luks/luks.ts";
import { addArgon2Key, cryptsetup, hasCryptsetup, keyFile, makeExt4, makeLuks1, makeLuks2, passphrase, toLuks2 } from "./images.ts";

const isThere = await hasCryptsetup();

/** What the image holds, by this reader; undefined when the secret opens nothing. */
async function decrypted(path: string, secret: string | Uint8Array): Promise<Uint8Array | undefined> {
  const source = memorySource(await readFile(path));
  const plain = await unlockLuks(source, await readLuksHeader(source), Buffer.from(secret));
  if (plain === undefined) return undefined;
  const bytes = new Uint8Array(plain.sizeBytes);
  await plain.readInto(0, bytes);
  return bytes;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe.skipIf(!isThere)("LUKS volumes written by cryptsetup, qemu and OpenSSL (passed over: no cryptsetup)", () => {
  let folder: string;
  let plain: string;
  let plainBytes: Buffer;

  beforeAll(async () => {
    folder = await mkdtemp("/dev/shm/pluck-luks-");
    plain = join(folder, "plain");
    await makeExt4(folder, plain, "in the vault\n");
    plainBytes = await readFile(plain);
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  const startsWithPlain = (bytes: Uint8Array | undefined) => expect(sha256(bytes!.subarray(0, plainBytes.length))).toBe(sha256(plainBytes));

  test.each([
    ["aes-xts-plain64", 512, "sha256"],
    ["aes-xts-plain64", 256, "sha1"],
    ["aes-xts-plain", 512, "sha512"],
    ["aes-cbc-essiv:sha256", 256, "ripemd160"],
    ["aes-cbc-essiv:sha256", 128, "sha256"],
    ["aes-cbc-plain", 256, "sha256"],
    ["aes-cbc-plain64", 256, "sha256"],
  ])("%s with %i bits and %s: LUKS1, and the LUKS2 that cryptsetup converts it to", async (cipher, keyBits, hash) => {
    const luks1 = join(folder, "one");
    const luks2 = join(folder, "two");
    await makeLuks1(folder, plain, luks1, { cipher, keyBits, hash });
    startsWithPlain(await decrypted(luks1, passphrase));
    expect(await decrypted(luks1, `${passphrase}!`)).toBeUndefined();
    await toLuks2(luks1, luks2);
    startsWithPlain(await decrypted(luks2, passphrase));
  });

  test.each(["serpent", "twofish", "cipher_null"])("%s is refused by name, with its UUID", async (cipher) => {
    const path = join(folder, "foreign");
    await makeLuks1(folder, plain, path);
    // cryptsetup itself can't format with these where the kernel lacks them.
    const bytes = await readFile(path);
    bytes.fill(0, 8, 40).write(cipher, 8);
    const source = memorySource(bytes);
    await expect(readLuksHeader(source)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining(`${cipher}-xts-plain64`) });
    expect((await readLuksIdentity(source)).uuid).toBe((await cryptsetup("luksUUID", path)).trim());
  });

  test("argon2i and argon2id keyslots open with their passphrase or the bytes of a keyfile", async () => {
    const luks1 = join(folder, "one");
    const path = join(folder, "argon");
    await makeLuks1(folder, plain, luks1);
    await toLuks2(luks1, path);
    const keyfile = Uint8Array.from({ length: 4096 }, (_, index) => (index * 7) % 256);
    await addArgon2Key(folder, path, "argon2i", "pässwörd");
    await addArgon2Key(folder, path, "argon2id", keyfile);
    for (const secret of [passphrase, "pässwörd", keyfile]) startsWithPlain(await decrypted(path, secret));
    expect(await decrypted(path, keyfile.subarray(1))).toBeUndefined();
    await cryptsetup("luksKillSlot", "--key-file", await keyFile(folder, "pässwörd"), path, "0");
    expect(await decrypted(path, passphrase)).toBeUndefined();
    startsWithPlain(await decrypted(path, "pässwörd"));
  });

  test.each([512, 1024, 2048, 4096])("LUKS2 with sectors of %i bytes, its label and UUID", async (sectorBytes) => {
    const path = join(folder, "sectors");
    await makeLuks2(folder, plain, path, sectorBytes, ["--label", "vault"]);
    const source = memorySource(await readFile(path));
    const header = await readLuksHeader(source);
    expect(header).toMatchObject({ sectorBytes, label: "vault", uuid: (await cryptsetup("luksUUID", path)).trim() });
    const inner = await unlockLuks(source, header, Buffer.from(passphrase));
    startsWithPlain(await inner!.read(0, inner!.sizeBytes));
    // Ranges that begin and end inside sectors.
    for (const [offset, length] of [[1, 1], [511, 2], [4095, 4098], [65_535, 70_000], [1_048_570, 1_100_000], [plainBytes.length - 3, 3]] as const) {
      const target = new Uint8Array(length);
      await inner!.readInto(offset, target);
      expect(sha256(target)).toBe(sha256(plainBytes.subarray(offset, offset + length)));
      expect(sha256(await inner!.read(offset, length))).toBe(sha256(target));
    }
    await expect(inner!.readInto(plainBytes.length - 1, new Uint8Array(2))).rejects.toMatchObject({ code: "corrupt" });
  });

  test("the second header of LUKS2 stands in for a damaged or lost first one", async () => {
    const path = join(folder, "twice");
    await makeLuks2(folder, plain, path, 512);
    for (const [offset, bytes] of [[4200, 64], [0, 4096], [8, 8]] as const) {
      const file = await open(path, "r+");
      await file.write(new Uint8Array(bytes), 0, bytes, offset);
      await file.close();
      startsWithPlain(await decrypted(path, passphrase));
    }
    const file = await open(path, "r+");
    await file.write(new Uint8Array(64), 0, 64, 16_384 + 4200);
    await file.close();
    await expect(decrypted(path, passphrase)).rejects.toMatchObject({ code: "corrupt" });
  });

  test("the newer of two valid headers counts", async () => {
    const path = join(folder, "newer");
    await makeLuks2(folder, plain, path, 512);
    const before = await readFile(path);
    await cryptsetup("config", "--label", "new", path);
    const after = await readFile(path);
    // A crash between writing the first copy and the second, and one of an older cryptsetup that wrote them the other way round.
    const mixed = (from: Buffer, second: Buffer) => Buffer.concat([from.subarray(0, 16_384), second.subarray(16_384, 32_768), from.subarray(32_768)]);
    expect((await readLuksHeader(memorySource(mixed(after, before)))).label).toBe("new");
    expect((await readLuksHeader(memorySource(mixed(before, after)))).label).toBe("new");
    expect((await readLuksHeader(memorySource(before))).label).toBeUndefined();
  });

  test("a detached header and a header without its data are refused", async () => {
    const header = join(folder, "detached");
    await cryptsetup("luksFormat", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", await keyFile(folder), "--header", header, plain);
    await expect(decrypted(header, passphrase)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("detached header") });
    const path = join(folder, "cut");
    await makeLuks2(folder, plain, path, 512);
    const cut = (await readFile(path)).subarray(0, 16 * 1024 * 1024);
    await expect(readLuksHeader(memorySource(cut))).rejects.toMatchObject({ code: "corrupt" });
  });

  test("integrity and an unfinished reencryption are refused by name", async () => {
    const path = join(folder, "reencrypt");
    await makeLuks2(folder, plain, path, 512);
    await cryptsetup("reencrypt", "--init-only", "--key-file", await keyFile(folder), "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", path);
    await expect(decrypted(path, passphrase)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("reencryption in progress") });
  });
});
