import { argon2, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import { DiskError, unsupported } from "../../blocks/disk-error.ts";
import { hashSize } from "./hash.ts";
import type { KeyDerivation } from "./header.ts";
import { maxArgon2Lanes, maxArgon2MemoryKib, maxArgon2WorkKib, maxPbkdf2Iterations } from "./limits.ts";

const pbkdf2Async = promisify(pbkdf2);
const argon2Async = promisify(argon2);

/** Both run on a thread of their own: the caller's goes on answering meanwhile. @param length in bytes */
export async function deriveKey(secret: Uint8Array, derivation: KeyDerivation, length: number): Promise<Uint8Array> {
  if (derivation.type === "pbkdf2") return await pbkdf2Async(secret, derivation.salt, derivation.iterations, length, derivation.hash);
  const { type, salt, lanes, memoryKib, passes } = derivation;
  try {
    return await argon2Async(type, { message: secret, nonce: salt, parallelism: lanes, tagLength: length, memory: memoryKib, passes });
  } catch (error) {
    throw new DiskError("io_error", `LUKS ${type} with ${memoryKib} KiB of memory could not be computed here: too little memory is free`, { cause: error });
  }
}

/** @param where "LUKS2 keyslot 3" @throws DiskError unsupported, by name, for a hash that is not here or a cost beyond the bounds */
export function assertDerivation(derivation: KeyDerivation, where: string): void {
  if (derivation.type === "pbkdf2") {
    hashSize(derivation.hash);
    assertAtMost(derivation.iterations, maxPbkdf2Iterations, `${where}: pbkdf2 iterations`);
    return;
  }
  const { memoryKib, passes, lanes } = derivation;
  assertAtMost(lanes, maxArgon2Lanes, `${where}: ${derivation.type} lanes`);
  assertAtMost(memoryKib, maxArgon2MemoryKib, `${where}: ${derivation.type} KiB of memory`);
  assertAtMost(memoryKib * passes, maxArgon2WorkKib, `${where}: ${derivation.type} memory times passes`);
}

function assertAtMost(value: number, limit: number, what: string): void {
  if (value > limit) throw unsupported(`${what}: ${value}, at most ${limit} are computed`);
}
