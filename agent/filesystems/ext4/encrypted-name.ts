// How Linux shows the names of an encrypted directory whose key isn't there: base64 of the index
// hash and the ciphertext, so that the name can be looked up again.
// Source: Linux fs/crypto/fname.c (struct fscrypt_nokey_name).
import { createHash } from "node:crypto";
import type { ByteString } from "../byte-string.ts";
import { hashName } from "./directory-hash.ts";
import type { Superblock } from "./superblock.ts";

/** Longer ciphertexts are cut here, and a SHA-256 of the rest is put in its place. */
const shownCiphertextBytes = 149;

/**
 * @param ciphertext the name on disk
 * @param hashVersion of the directory's index; undefined where Linux doesn't hash
 */
export function showEncryptedName(ciphertext: Uint8Array, hashVersion: number | undefined, superblock: Superblock): ByteString {
  const shown = ciphertext.subarray(0, shownCiphertextBytes);
  const rest = ciphertext.subarray(shownCiphertextBytes);
  const prefix = Buffer.alloc(8);
  const hash = hashVersion === undefined ? undefined : hashName(ciphertext, hashVersion, superblock.hashSeed);
  if (hash !== undefined) {
    prefix.writeUInt32LE(hash.major, 0);
    prefix.writeUInt32LE(hash.minor, 4);
  }
  const digest = rest.length > 0 ? createHash("sha256").update(rest).digest() : Buffer.alloc(0);
  return Buffer.concat([prefix, shown, digest]).toString("base64url");
}
