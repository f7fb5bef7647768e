// CRC-16 (polynomial 0x8005, reflected 0xA001), as ext4 uses it for group descriptors with gdt_csum.

const table = makeTable();

function makeTable(): Uint16Array {
  const result = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
    result[byte] = crc;
  }
  return result;
}

/** Runs the 16-bit register over bytes [start, end), without inversions. */
export function crc16Update(register: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = register;
  for (let i = start; i < end; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 0xff]!;
  return crc & 0xffff;
}
