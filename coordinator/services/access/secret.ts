import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 256 bits: nothing to guess, so a plain SHA-256 is enough at rest. */
const secretBytes = 32;

export function newSecret(prefix: string): string {
  return `${prefix}${randomBytes(secretBytes).toString("base64url")}`;
}

/** Hex SHA-256. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret, "utf8").digest("hex");
}

/** Compares two hashes in constant time. */
export function sameHash(a: string, b: string): boolean {
  const left = Buffer.from(a, "utf8");
  const right = Buffer.from(b, "utf8");
  return left.length === right.length && timingSafeEqual(left, right);
}
