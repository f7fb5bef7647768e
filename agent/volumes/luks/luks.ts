// LUKS: an encrypted volume in its device. What is in it appears once a passphrase or a key unlocks it.
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { slice } from "../../blocks/slice.ts";
import { timingSafeEqual } from "node:crypto";
import { mergeStripes } from "./anti-forensic.ts";
import { decrypting } from "./decrypting.ts";
import { deriveKey } from "./derive-key.ts";
import type { KeyDigest, Keyslot, LuksHeader } from "./header.ts";
import { maxUnlockMs } from "./limits.ts";
import { LUKS1_BYTES, readLuks1Header } from "./luks1-header.ts";
import { BINARY_HEADER_BYTES, luks2HeaderSizes, luksMagic, parseLuks2Identity } from "./luks2-binary-header.ts";
import { readLuks2Header } from "./luks2-header.ts";
import { sectorCipher } from "./sector-cipher.ts";
import { identityText } from "./text.ts";

/** @throws DiskError corrupt; unsupported with the name of what is not read; io_error */
export async function readLuksHeader(source: BlockSource): Promise<LuksHeader> {
  const head = await source.read(0, Math.min(LUKS1_BYTES, source.sizeBytes));
  const magic = luksMagic(head);
  // Without the first copy of LUKS2, the second may still be there.
  if (magic?.copy !== "first" || magic.version === 2) return await readLuks2Header(source);
  if (magic.version !== 1) throw unsupported(`LUKS version ${magic.version}`);
  return await readLuks1Header(source);
}

/** UUID and label as they stand, also where the header can't be used. Throws only "io_error". */
export async function readLuksIdentity(source: BlockSource): Promise<{ readonly uuid: string | undefined; readonly label: string | undefined }> {
  for (const offset of [0, ...luks2HeaderSizes]) {
    if (offset + BINARY_HEADER_BYTES > source.sizeBytes) break;
    const head = await source.read(offset, BINARY_HEADER_BYTES);
    const magic = luksMagic(head);
    if (magic === undefined) continue;
    return magic.version === 1 ? { uuid: identityText(head, 168, 40), label: undefined } : parseLuks2Identity(head);
  }
  return { uuid: undefined, label: undefined };
}

/**
 * The decrypted volume; undefined when the passphrase (or the contents of the keyfile) opens none of its keyslots.
 * Takes as long as the header's key derivation: usually seconds, at most a few minutes, on threads of its own.
 * @throws DiskError unsupported when nothing opened and some keyslots could not be tried; io_error
 */
export async function unlockLuks(source: BlockSource, header: LuksHeader, secret: Uint8Array): Promise<BlockSource | undefined> {
  const startedAt = performance.now();
  for (const keyslot of header.keyslots) {
    if (performance.now() - startedAt > maxUnlockMs) throw unsupported(`LUKS keyslots that cost more than ${maxUnlockMs / 1000} s to try`);
    const key = await openKeyslot(source, keyslot, secret);
    if (key === undefined) continue;
    const { offsetBytes, sizeBytes, encryption, sectorBytes, ivTweak } = header;
    const data = slice(source, offsetBytes, sizeBytes);
    const plain = decrypting(data, sectorCipher(encryption, key, sectorBytes), ivTweak);
    key.fill(0);
    return plain;
  }
  const [refused] = header.refusedKeyslots;
  if (refused !== undefined) throw refused;
  if (header.keyslots.length === 0) throw corrupt("LUKS header", undefined, "no keyslot is in use: no key can open it");
  return undefined;
}

/** The volume's key; undefined when this is not the keyslot's passphrase. */
async function openKeyslot(source: BlockSource, keyslot: Keyslot, secret: Uint8Array): Promise<Uint8Array | undefined> {
  const areaKey = await deriveKey(secret, keyslot.derivation, keyslot.areaKeyBytes);
  const area = new Uint8Array(keyslot.areaSizeBytes);
  await source.readInto(keyslot.areaOffsetBytes, area);
  sectorCipher(keyslot.areaEncryption, areaKey, 512).decrypt(area, 0n);
  const key = mergeStripes(area, keyslot.volumeKeyBytes, keyslot.stripes, keyslot.splitterHash);
  area.fill(0);
  areaKey.fill(0);
  return (await isKeyOf(keyslot.digest, key)) ? key : undefined;
}

async function isKeyOf(expected: KeyDigest, key: Uint8Array): Promise<boolean> {
  const digest = await deriveKey(key, { type: "pbkdf2", ...expected }, expected.digest.length);
  return timingSafeEqual(digest, expected.digest);
}
