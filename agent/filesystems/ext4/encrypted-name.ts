import type { ByteString } from "../byte-string.ts";
import type { Superblock } from "./superblock.ts";

export function showEncryptedName(name: Buffer, _superblock: Superblock): ByteString {
  return Buffer.concat([Buffer.alloc(8), name]).toString("base64url");
}
