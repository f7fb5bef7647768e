// The anti-forensic splitter (LUKS On-Disk Format Specification 1.2.3, section 2.4): a key is stored as `stripes`
// blocks of its own size, so that wiping any of them loses it. The last block XOR what the others were mixed to is
// the key:
//
//   d = 0
//   for each block but the last: d = diffuse(d XOR block)
//   key = d XOR last block
//
// diffuse hashes each digest-sized part of d with its number (32 bits, big-endian) before it.
import { hash as hashOnce } from "node:crypto";
import { hashSize } from "./hash.ts";

/** @param material `stripes` times `keyBytes` bytes */
export function mergeStripes(material: Uint8Array, keyBytes: number, stripes: number, hash: string): Uint8Array {
  let mixed: Uint8Array = new Uint8Array(keyBytes);
  for (let stripe = 0; stripe < stripes; stripe += 1) {
    for (let index = 0; index < keyBytes; index += 1) mixed[index]! ^= material[stripe * keyBytes + index]!;
    if (stripe < stripes - 1) mixed = diffuse(mixed, hash);
  }
  return mixed;
}

function diffuse(bytes: Uint8Array, hash: string): Uint8Array {
  const partBytes = hashSize(hash);
  const result = new Uint8Array(bytes.length);
  const numbered = Buffer.alloc(4 + partBytes);
  for (let part = 0; part * partBytes < bytes.length; part += 1) {
    const source = bytes.subarray(part * partBytes, (part + 1) * partBytes);
    numbered.writeUInt32BE(part);
    numbered.set(source, 4);
    result.set(hashOnce(hash, numbered.subarray(0, 4 + source.length), "buffer").subarray(0, source.length), part * partBytes);
  }
  return result;
}
