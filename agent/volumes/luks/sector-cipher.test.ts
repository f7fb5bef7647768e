import { createCipheriv, createHash } from "node:crypto";
import { expect, test } from "vitest";
import { sectorCipher } from "./sector-cipher.ts";

/** OpenSSL's own modes, a cipher a sector: what ours must undo. */
function encrypt(mode: string, key: Uint8Array, plain: Uint8Array, sectorBytes: number, ivOf: (sector: bigint) => Buffer | null, firstSector: bigint): Uint8Array {
  const sectors: Buffer[] = [];
  for (let at = 0; at < plain.length; at += sectorBytes) {
    const cipher = createCipheriv(`aes-${(mode === "xts" ? key.length / 2 : key.length) * 8}-${mode}`, key, ivOf(firstSector + BigInt(at / 512)));
    cipher.setAutoPadding(false);
    sectors.push(cipher.update(plain.subarray(at, at + sectorBytes)));
  }
  return Buffer.concat(sectors);
}

const bytesOf = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (Math.imul(index + 1, 2654435761 + seed) >>> 13) & 0xff);

const plain64 = (sector: bigint): Buffer => {
  const iv = Buffer.alloc(16);
  iv.writeBigUInt64LE(BigInt.asUintN(64, sector));
  return iv;
};
const plain32 = (sector: bigint): Buffer => {
  const iv = Buffer.alloc(16);
  iv.writeUInt32LE(Number(BigInt.asUintN(32, sector)));
  return iv;
};
const plain64be = (sector: bigint): Buffer => {
  const iv = Buffer.alloc(16);
  iv.writeBigUInt64BE(BigInt.asUintN(64, sector), 8);
  return iv;
};
const essiv = (key: Uint8Array) => (sector: bigint): Buffer => {
  const cipher = createCipheriv("aes-256-ecb", createHash("sha256").update(key).digest(), null);
  return cipher.setAutoPadding(false).update(plain64(sector));
};

const cases = [512, 1024, 4096].flatMap((sectorBytes) =>
  ([
    ["aes-xts-plain64", 64, "xts"],
    ["aes-xts-plain64", 32, "xts"],
    ["aes-xts-plain", 64, "xts"],
    ["aes-xts-plain64be", 64, "xts"],
    ["aes-xts-essiv:sha256", 64, "xts"],
    ["aes-cbc-plain64", 16, "cbc"],
    ["aes-cbc-plain", 24, "cbc"],
    ["aes-cbc-null", 32, "cbc"],
    ["aes-cbc-essiv:sha256", 32, "cbc"],
    ["aes-ecb", 32, "ecb"],
    ["aes-ecb", 24, "ecb"],
  ] as const).map(([encryption, keyBytes, mode]) => ({ encryption, keyBytes, mode, sectorBytes })),
);

test.each(cases)("$encryption, a key of $keyBytes bytes, sectors of $sectorBytes, is what OpenSSL makes of it", ({ encryption, keyBytes, mode, sectorBytes }) => {
  const key = bytesOf(keyBytes, 5);
  const ivs: Record<string, (sector: bigint) => Buffer | null> = { plain: plain32, plain64, plain64be, null: () => Buffer.alloc(16), "essiv:sha256": essiv(key) };
  const ivOf = mode === "ecb" ? () => null : ivs[encryption.split("-")[2] ?? ""]!;
  // More than one batch, and a remainder; sector numbers that leave 32 bits and 64 bits on the way.
  const plain = bytesOf(65_536 * 2 + 4096 * 3, 9);
  for (const first of [0n, 7n, 2n ** 32n - 16n, 2n ** 64n - 8n]) {
    const bytes = Uint8Array.from(encrypt(mode, key, plain, sectorBytes, ivOf, first));
    sectorCipher(encryption, key, sectorBytes).decrypt(bytes, first);
    expect(Buffer.compare(bytes, plain)).toBe(0);
  }
});

test.each([
  ["serpent-xts-plain64", 64],
  ["aes-lrw-benbi", 48],
  ["aes-cbc-lmk", 64],
  ["aes-cbc-benbi", 32],
  ["aes-xts-random", 64],
  ["aes-gcm-random", 32],
  ["aes-cbc-essiv:sha512", 32],
  ["aes-cbc-essiv:whirlpool", 32],
  ["capi:xts(aes)-plain64", 64],
  ["aes", 32],
  ["", 32],
  ["aes-xts-plain64", 33],
  ["aes-xts-plain64", 0],
  ["aes-cbc-plain64", 20],
])("%s with a key of %i bytes is refused", (encryption, keyBytes) => {
  expect(() => sectorCipher(encryption, new Uint8Array(keyBytes), 512)).toThrow(expect.objectContaining({ code: "unsupported" }));
});
