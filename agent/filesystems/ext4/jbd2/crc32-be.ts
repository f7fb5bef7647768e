// CRC-32 (polynomial 0x04C11DB7), most significant bit first: the checksum of version 1 commit blocks.

const table = makeTable();

function makeTable(): Int32Array {
  const result = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
    result[byte] = crc;
  }
  return result;
}

/** Runs the register over the bytes, without inversions. */
export function crc32BeUpdate(register: number, bytes: Uint8Array): number {
  let crc = register | 0;
  for (let i = 0; i < bytes.length; i++) crc = (crc << 8) ^ table[((crc >>> 24) ^ bytes[i]!) & 0xff]!;
  return crc >>> 0;
}
