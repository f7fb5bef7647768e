// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected 0x82F63B78), as used by ext4, jbd2, XFS,
// btrfs and iSCSI: RFC 3720, appendix B.4. Eight tables let the loop take eight bytes a turn.

const reflectedPolynomial = 0x82f63b78;

const tables = makeTables();

function makeTables(): Int32Array[] {
  const result = Array.from({ length: 8 }, () => new Int32Array(256));
  const first = result[0]!;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ reflectedPolynomial : crc >>> 1;
    first[byte] = crc;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let level = 1; level < 8; level++) {
      const previous = result[level - 1]![byte]!;
      result[level]![byte] = (previous >>> 8) ^ first[previous & 0xff]!;
    }
  }
  return result;
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array,
];

/**
 * Runs the register over bytes [start, end), without the inversions at either end: the form in which
 * the Linux kernel chains checksums (it starts from 0xffffffff and stores the register as it is).
 * @param register the register so far, any 32-bit number
 * @returns the register after, 0 to 0xffffffff
 */
export function crc32cUpdate(register: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = register | 0;
  let i = start;
  for (const stop = end - 7; i < stop; i += 8) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc =
      t7[crc & 0xff]! ^ t6[(crc >>> 8) & 0xff]! ^ t5[(crc >>> 16) & 0xff]! ^ t4[crc >>> 24]! ^
      t3[bytes[i + 4]!]! ^ t2[bytes[i + 5]!]! ^ t1[bytes[i + 6]!]! ^ t0[bytes[i + 7]!]!;
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 0xff]!;
  return crc >>> 0;
}

/** Runs the register over a 32-bit number in little-endian byte order. */
export function crc32cUpdateUint32(register: number, value: number): number {
  const crc = register ^ value;
  return (t3[crc & 0xff]! ^ t2[(crc >>> 8) & 0xff]! ^ t1[(crc >>> 16) & 0xff]! ^ t0[crc >>> 24]!) >>> 0;
}

/** The checksum of bytes [start, end) in its standard form, inverted at both ends; 0 to 0xffffffff. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return ~crc32cUpdate(0xffffffff, bytes, start, end) >>> 0;
}
