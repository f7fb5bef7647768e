import { crc32 } from "node:zlib";

const LVM_INITIAL = 0xf597a6cf;

/** LVM2's checksum: CRC-32 from a start value of its own, without the inversions at either end (lib/misc/crc.c). */
export function lvmCrc(bytes: Uint8Array): number {
  return ~crc32(bytes, ~LVM_INITIAL >>> 0) >>> 0;
}
