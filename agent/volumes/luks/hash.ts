import { createHash } from "node:crypto";
import { unsupported } from "../../blocks/disk-error.ts";

/** The hashes of LUKS headers that Node's crypto has, with their sizes in bytes. */
const hashBytes: ReadonlyMap<string, number> = new Map([
  ["sha1", 20],
  ["sha224", 28],
  ["sha256", 32],
  ["sha384", 48],
  ["sha512", 64],
  ["ripemd160", 20],
]);

/** @throws DiskError unsupported, with its name, for any other one (whirlpool, blake2, ...) */
export function hashSize(name: string): number {
  const size = hashBytes.get(name);
  if (size === undefined) throw unsupported(`LUKS hash ${JSON.stringify(name)}`);
  return size;
}

export function hashOf(name: string, ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash(name);
  for (const part of parts) hash.update(part);
  return hash.digest();
}
