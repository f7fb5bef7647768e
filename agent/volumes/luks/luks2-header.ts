import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError, toDiskError, unsupported } from "../../blocks/disk-error.ts";
import { assertDerivation } from "./derive-key.ts";
import { hashSize } from "./hash.ts";
import type { KeyDerivation, KeyDigest, Keyslot, LuksHeader } from "./header.ts";
import { maxKeyslots } from "./limits.ts";
import { type Luks2Copy, readLuks2Copy } from "./luks2-binary-header.ts";
import { isLuks2Keyslot, type Luks2Digest, type Luks2Keyslot, type Luks2Metadata, type Luks2Segment, parseLuks2Metadata } from "./luks2-metadata.ts";
import { assertEncryption } from "./sector-cipher.ts";

/** Salts shorter than this are none that Argon2 takes. */
const minArgon2SaltBytes = 8;
/** RFC 9106: eight blocks of 1 KiB a lane. */
const minArgon2KibPerLane = 8;

export async function readLuks2Header(source: BlockSource): Promise<LuksHeader> {
  const copy = await readLuks2Copy(source);
  return toLuks2Header(copy, parseLuks2Metadata(copy.metadata), source.sizeBytes);
}

/** @throws DiskError corrupt; unsupported with the name of what is not read */
export function toLuks2Header(copy: Luks2Copy, metadata: Luks2Metadata, deviceBytes: number): LuksHeader {
  assertRequirements(metadata);
  const { id, segment } = dataSegment(metadata);
  const keyslotAreas = { start: copy.headerBytes * 2, end: copy.headerBytes * 2 + toNumber(metadata.config.keyslots_size, "config.keyslots_size") };
  const place = placeSegment(segment, keyslotAreas, deviceBytes);
  const { encryption = "", iv_tweak: ivTweak = "0" } = segment;
  const bound = Object.entries(metadata.digests).filter(([, digest]) => digest.segments.includes(id));
  const [entry] = bound;
  if (entry === undefined) throw corrupt("LUKS2 metadata", undefined, `no digest for segment ${id}`);
  if (bound.length > 1) throw corrupt("LUKS2 metadata", undefined, `${bound.length} digests for segment ${id}, expected one`);
  const [digestId, boundDigest] = entry;
  const digest = toDigest(boundDigest, `LUKS2 digest ${digestId}`);

  const found = Object.entries(metadata.keyslots).filter(([slot]) => boundDigest.keyslots.includes(slot));
  if (found.length > maxKeyslots) throw unsupported(`LUKS2 with ${found.length} keyslots, at most ${maxKeyslots} are tried`);
  const keyslots: { readonly keyslot: Keyslot; readonly priority: number }[] = [];
  const refusedKeyslots: DiskError[] = [];
  for (const [slot, value] of found) {
    const name = `LUKS2 keyslot ${slot}`;
    try {
      if (!isLuks2Keyslot(value)) throw unsupported(`${name} of the type ${JSON.stringify(value.type)}`);
      const keyslot = toKeyslot(value, name, digest, keyslotAreas, deviceBytes);
      assertEncryption(encryption, keyslot.volumeKeyBytes);
      keyslots.push({ keyslot, priority: value.priority ?? 1 });
    } catch (error) {
      refusedKeyslots.push(toDiskError(error));
    }
  }
  // "Prefer" (2) first, "ignore" (0) last: whoever gives the passphrase of such a slot means it.
  keyslots.sort((a, b) => b.priority - a.priority);
  return {
    version: 2,
    uuid: copy.uuid,
    label: copy.label,
    ...place,
    encryption,
    ivTweak: BigInt(ivTweak),
    keyslots: keyslots.map(({ keyslot }) => keyslot),
    refusedKeyslots,
  };
}

function assertRequirements(metadata: Luks2Metadata): void {
  const mandatory = metadata.config.requirements?.mandatory ?? [];
  const reencrypting = mandatory.some((name) => name.includes("reencrypt")) || Object.values(metadata.keyslots).some(({ type }) => type === "reencrypt");
  if (reencrypting) throw unsupported("LUKS2 reencryption in progress: finish it in the guest first");
  if (mandatory.length > 0) throw unsupported(`LUKS2 requirement ${mandatory.map((name) => JSON.stringify(name)).join(", ")}`);
}

/** The one segment with the data; the copies that a reencryption keeps are not it. */
function dataSegment(metadata: Luks2Metadata): { id: string; segment: Luks2Segment } {
  const segments = Object.entries(metadata.segments).filter(([, { flags = [] }]) => !flags.some((flag) => flag.startsWith("backup-")));
  const [first] = segments;
  if (first === undefined) throw unsupported("LUKS2 without a data segment");
  if (segments.length > 1) throw unsupported(`LUKS2 with ${segments.length} data segments: a reencryption in progress`);
  const [id, segment] = first;
  if (segment.type !== "crypt") throw unsupported(`LUKS2 segment of the type ${JSON.stringify(segment.type)}`);
  if (segment.integrity !== undefined) throw unsupported(`LUKS2 with integrity ${JSON.stringify(segment.integrity.type ?? "")} (dm-integrity)`);
  if (segment.encryption === undefined || segment.iv_tweak === undefined || segment.sector_size === undefined) {
    throw corrupt("LUKS2 metadata", undefined, `segment ${id} without encryption, iv_tweak or sector_size`);
  }
  return { id, segment };
}

interface Area {
  readonly start: number;
  readonly end: number;
}

function placeSegment(segment: Luks2Segment, keyslotAreas: Area, deviceBytes: number): Pick<LuksHeader, "offsetBytes" | "sizeBytes" | "sectorBytes"> {
  const sectorBytes = segment.sector_size ?? 0;
  if (![512, 1024, 2048, 4096].includes(sectorBytes)) throw corrupt("LUKS2 metadata", undefined, `a sector size of ${sectorBytes}, expected 512, 1024, 2048 or 4096`);
  if (BigInt(segment.iv_tweak ?? "0") >= 2n ** 64n) throw corrupt("LUKS2 metadata", undefined, `iv_tweak ${segment.iv_tweak ?? ""}, expected a number of 64 bits`);
  const offsetBytes = toNumber(segment.offset, "segment offset");
  if (offsetBytes < keyslotAreas.start) throw unsupported("LUKS2 detached header: the encrypted data is on another device");
  if (offsetBytes < keyslotAreas.end) throw corrupt("LUKS2 metadata", undefined, `data from byte ${offsetBytes} on, inside the keyslots, which end at ${keyslotAreas.end}`);
  const room = deviceBytes - offsetBytes;
  const sizeBytes = segment.size === "dynamic" ? Math.floor(room / sectorBytes) * sectorBytes : toNumber(segment.size, "segment size");
  if (room <= 0 || sizeBytes <= 0 || sizeBytes > room) {
    throw corrupt("LUKS2 metadata", undefined, `data at byte ${offsetBytes}, size ${segment.size}, but the volume has ${deviceBytes} bytes`);
  }
  if (sizeBytes % sectorBytes !== 0) throw corrupt("LUKS2 metadata", undefined, `data of ${sizeBytes} bytes, no whole number of sectors of ${sectorBytes}`);
  return { offsetBytes, sizeBytes, sectorBytes };
}

function toKeyslot(slot: Luks2Keyslot, name: string, digest: KeyDigest, areas: Area, deviceBytes: number): Keyslot {
  const { area, af, kdf, key_size: volumeKeyBytes } = slot;
  const areaOffsetBytes = toNumber(area.offset, `${name}: area offset`);
  const areaSizeBytes = toNumber(area.size, `${name}: area size`);
  const end = areaOffsetBytes + areaSizeBytes;
  if (areaOffsetBytes < areas.start || end > areas.end || end > deviceBytes) {
    throw corrupt(name, undefined, `area from byte ${areaOffsetBytes} to ${end}, expected inside ${areas.start} to ${areas.end}`);
  }
  const neededBytes = Math.ceil((volumeKeyBytes * af.stripes) / 512) * 512;
  if (neededBytes > areaSizeBytes) throw corrupt(name, undefined, `area of ${areaSizeBytes} bytes for ${neededBytes} bytes of key material`);
  hashSize(af.hash);
  assertEncryption(area.encryption, area.key_size);
  const derivation = toDerivation(kdf, name);
  assertDerivation(derivation, name);
  return {
    name,
    areaOffsetBytes,
    areaSizeBytes: neededBytes,
    areaEncryption: area.encryption,
    areaKeyBytes: area.key_size,
    volumeKeyBytes,
    stripes: af.stripes,
    splitterHash: af.hash,
    derivation,
    digest,
  };
}

function toDerivation(kdf: Luks2Keyslot["kdf"], name: string): KeyDerivation {
  if (kdf.type === "pbkdf2" && "iterations" in kdf) {
    return { type: "pbkdf2", hash: kdf.hash as string, iterations: kdf.iterations as number, salt: Buffer.from(kdf.salt as string, "base64") };
  }
  if ((kdf.type === "argon2i" || kdf.type === "argon2id") && "memory" in kdf) {
    const salt = Buffer.from(kdf.salt as string, "base64");
    const memoryKib = kdf.memory as number;
    const lanes = kdf.cpus as number;
    if (salt.length < minArgon2SaltBytes) throw corrupt(name, undefined, `a salt of ${salt.length} bytes, expected ${minArgon2SaltBytes} or more`);
    if (memoryKib < lanes * minArgon2KibPerLane) throw corrupt(name, undefined, `${memoryKib} KiB of memory for ${lanes} lanes, expected ${minArgon2KibPerLane} KiB a lane`);
    return { type: kdf.type, salt, passes: kdf.time as number, memoryKib, lanes };
  }
  throw unsupported(`${name} with the key derivation ${JSON.stringify(kdf.type)}`);
}

function toDigest(digest: Luks2Digest, name: string): KeyDigest {
  const { type, hash, iterations } = digest;
  if (type !== "pbkdf2") throw unsupported(`${name} of the type ${JSON.stringify(type)}`);
  if (hash === undefined || iterations === undefined) throw corrupt(name, undefined, "without hash or iterations");
  const value = { hash, iterations, salt: Buffer.from(digest.salt, "base64"), digest: Buffer.from(digest.digest, "base64") };
  assertDerivation({ type: "pbkdf2", ...value }, name);
  // Shorter ones would let other keys pass for this one.
  if (value.digest.length < 16) throw corrupt(name, undefined, `a digest of ${value.digest.length} bytes, expected ${hashSize(hash)}`);
  return value;
}

function toNumber(text: string, what: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw corrupt("LUKS2 metadata", undefined, `${what} ${text}`);
  return value;
}
