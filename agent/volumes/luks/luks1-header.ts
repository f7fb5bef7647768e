// LUKS1 (LUKS On-Disk Format Specification 1.2.3): a header of 592 bytes, all numbers big-endian, texts NUL-padded.
//
//   Offset | Size | Field               | Meaning
//   0      | 6    | magic               | "LUKS" ba be
//   6      | 2    | version             | 1
//   8      | 32   | cipher-name         | "aes"
//   40     | 32   | cipher-mode         | "xts-plain64"
//   72     | 32   | hash-spec           | "sha256": of the splitter, of both key derivations
//   104    | 4    | payload-offset      | where the data begins, in 512 bytes; 0 in a detached header
//   108    | 4    | key-bytes           | of the volume's key
//   112    | 20   | mk-digest           | PBKDF2 of the volume's key
//   132    | 32   | mk-digest-salt      |
//   164    | 4    | mk-digest-iter      |
//   168    | 40   | uuid                | text
//   208    | 48   | key slot 0 of 8     |
//   +0     | 4    | active              | 00ac71f3 in use, 0000dead free
//   +4     | 4    | iterations          | PBKDF2 of the passphrase
//   +8     | 32   | salt                |
//   +40    | 4    | key-material-offset | in 512 bytes
//   +44    | 4    | stripes             | of the splitter
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError, unsupported } from "../../blocks/disk-error.ts";
import { assertDerivation } from "./derive-key.ts";
import { hashSize } from "./hash.ts";
import type { Keyslot, LuksHeader } from "./header.ts";
import { maxKeyBytes, maxStripes } from "./limits.ts";
import { assertEncryption } from "./sector-cipher.ts";
import { fieldText, identityText } from "./text.ts";

export const LUKS1_BYTES = 592;
const SECTOR_BYTES = 512;
const DIGEST_BYTES = 20;
const SLOT_COUNT = 8;
const SLOT_ACTIVE = 0x00ac71f3;
const SLOT_FREE = 0x0000dead;

/**
 * @param deviceBytes what the header's places must lie in
 * @throws DiskError corrupt; unsupported with the name of what is not read
 */
export function parseLuks1Header(bytes: Uint8Array, deviceBytes: number): LuksHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, LUKS1_BYTES);
  const encryption = `${fieldText(bytes, 8, 32)}-${fieldText(bytes, 40, 32)}`;
  const hash = fieldText(bytes, 72, 32).toLowerCase();
  const payloadSectors = view.getUint32(104);
  const keyBytes = view.getUint32(108);
  if (payloadSectors === 0) throw unsupported("LUKS1 detached header: the encrypted data is on another device");
  if (keyBytes < 1 || keyBytes > maxKeyBytes) throw corrupt("LUKS1 header", 108, `a key of ${keyBytes} bytes, expected 1 to ${maxKeyBytes}`);
  const offsetBytes = payloadSectors * SECTOR_BYTES;
  const sizeBytes = Math.floor((deviceBytes - offsetBytes) / SECTOR_BYTES) * SECTOR_BYTES;
  hashSize(hash);
  assertEncryption(encryption, keyBytes);
  const digest = { hash, iterations: view.getUint32(164), salt: bytes.slice(132, 164), digest: bytes.slice(112, 112 + DIGEST_BYTES) };
  if (digest.iterations === 0) throw corrupt("LUKS1 header", 164, "a key digest of 0 iterations, expected 1 or more");
  assertDerivation({ type: "pbkdf2", ...digest }, "LUKS1 key digest");

  const keyslots: Keyslot[] = [];
  const refusedKeyslots: DiskError[] = [];
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
    const at = 208 + slot * 48;
    const name = `LUKS1 keyslot ${slot}`;
    const active = view.getUint32(at);
    if (active === SLOT_FREE) continue;
    if (active !== SLOT_ACTIVE) throw corrupt(name, at, `state 0x${active.toString(16)}, expected 0xac71f3 or 0xdead`);
    const iterations = view.getUint32(at + 4);
    const stripes = view.getUint32(at + 44);
    if (iterations === 0) throw corrupt(name, at + 4, "0 iterations, expected 1 or more");
    if (stripes < 1 || stripes > maxStripes) throw corrupt(name, at + 44, `${stripes} stripes, expected 1 to ${maxStripes}`);
    const keyslot: Keyslot = {
      name,
      areaOffsetBytes: view.getUint32(at + 40) * SECTOR_BYTES,
      areaSizeBytes: Math.ceil((keyBytes * stripes) / SECTOR_BYTES) * SECTOR_BYTES,
      areaEncryption: encryption,
      areaKeyBytes: keyBytes,
      volumeKeyBytes: keyBytes,
      stripes,
      splitterHash: hash,
      derivation: { type: "pbkdf2", hash, iterations, salt: bytes.slice(at + 8, at + 40) },
      digest,
    };
    assertArea(keyslot, keyslots, offsetBytes, at + 40);
    try {
      assertDerivation(keyslot.derivation, name);
      keyslots.push(keyslot);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      refusedKeyslots.push(error);
    }
  }
  if (sizeBytes <= 0) throw corrupt("LUKS1 header", 104, `data from byte ${offsetBytes} on, but the volume has ${deviceBytes} bytes`);
  return {
    version: 1,
    uuid: identityText(bytes, 168, 40),
    label: undefined,
    offsetBytes,
    sizeBytes,
    encryption,
    sectorBytes: SECTOR_BYTES,
    ivTweak: 0n,
    keyslots,
    refusedKeyslots,
  };
}

function assertArea(slot: Keyslot, others: readonly Keyslot[], payloadOffset: number, field: number): void {
  const { areaOffsetBytes: start, areaSizeBytes: size } = slot;
  if (start < LUKS1_BYTES) throw corrupt(slot.name, field, `key material at byte ${start}, inside the header`);
  if (start + size > payloadOffset) throw corrupt(slot.name, field, `key material up to byte ${start + size}, but the data begins at ${payloadOffset}`);
  const other = others.find(({ areaOffsetBytes, areaSizeBytes }) => start < areaOffsetBytes + areaSizeBytes && areaOffsetBytes < start + size);
  if (other !== undefined) throw corrupt(slot.name, field, `key material at byte ${start} overlaps that of ${other.name}`);
}

export async function readLuks1Header(source: BlockSource): Promise<LuksHeader> {
  if (source.sizeBytes < LUKS1_BYTES) throw corrupt("LUKS1 header", 0, `only ${source.sizeBytes} bytes, expected ${LUKS1_BYTES} or more`);
  return parseLuks1Header(await source.read(0, LUKS1_BYTES), source.sizeBytes);
}
