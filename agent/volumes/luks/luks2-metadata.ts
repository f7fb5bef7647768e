// The JSON of a LUKS2 header (LUKS2 On-Disk Format Specification 1.1.3, chapter 3). Objects are keyed by number; 64-bit
// numbers are decimal texts, binary values base64.
import { z } from "zod";
import { corrupt } from "../../blocks/disk-error.ts";
import { maxKeyBytes, maxStripes } from "./limits.ts";

const uint64 = z.string().regex(/^\d{1,20}$/);
const count = z.number().int().nonnegative().max(2 ** 31 - 1);
const positive = count.min(1);
const base64 = z.string().max(1024).regex(/^[A-Za-z0-9+/]*={0,2}$/);
const word = z.string().max(128);
const numbered = <T extends z.ZodType>(value: T) => z.record(z.string().regex(/^\d{1,3}$/), value);

const pbkdf2Schema = z.looseObject({ type: z.literal("pbkdf2"), salt: base64, hash: word, iterations: positive });
const argon2Schema = z.looseObject({ type: z.enum(["argon2i", "argon2id"]), salt: base64, time: positive, memory: positive, cpus: positive });
/** Another kind of a known object: named where it is refused. */
const otherType = z.looseObject({ type: word });

const keyslotSchema = z.looseObject({
  type: z.literal("luks2"),
  key_size: positive.max(maxKeyBytes),
  priority: z.number().int().min(0).max(2).optional(),
  area: z.looseObject({ type: z.literal("raw"), offset: uint64, size: uint64, encryption: word, key_size: positive.max(maxKeyBytes) }),
  af: z.looseObject({ type: z.literal("luks1"), stripes: positive.max(maxStripes), hash: word }),
  kdf: z.union([pbkdf2Schema, argon2Schema, otherType]),
});
export type Luks2Keyslot = z.infer<typeof keyslotSchema>;

const segmentSchema = z.looseObject({
  type: word,
  offset: uint64,
  size: z.union([z.literal("dynamic"), uint64]),
  iv_tweak: uint64.optional(),
  encryption: word.optional(),
  sector_size: count.optional(),
  integrity: z.looseObject({ type: word.optional() }).optional(),
  flags: z.array(word).max(64).optional(),
});
export type Luks2Segment = z.infer<typeof segmentSchema>;

const digestSchema = z.looseObject({
  type: word,
  keyslots: z.array(word).max(256),
  segments: z.array(word).max(256),
  salt: base64,
  digest: base64,
  hash: word.optional(),
  iterations: positive.optional(),
});
export type Luks2Digest = z.infer<typeof digestSchema>;

const metadataSchema = z.looseObject({
  keyslots: numbered(z.union([keyslotSchema, otherType])),
  segments: numbered(segmentSchema),
  digests: numbered(digestSchema),
  config: z.looseObject({
    json_size: uint64,
    keyslots_size: uint64,
    requirements: z.looseObject({ mandatory: z.array(word).max(64).optional() }).optional(),
  }),
});
export type Luks2Metadata = z.infer<typeof metadataSchema>;

/** @throws DiskError corrupt, with the first thing that is wrong */
export function parseLuks2Metadata(text: string): Luks2Metadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw corrupt("LUKS2 metadata", undefined, "no valid JSON");
  }
  const parsed = metadataSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.map(String).join(".").slice(0, 100) ?? "";
  throw corrupt("LUKS2 metadata", undefined, `${place === "" ? "its top level" : place}: ${issue?.message.slice(0, 200) ?? "not as the format says"}`);
}

export function isLuks2Keyslot(keyslot: Luks2Metadata["keyslots"][string]): keyslot is Luks2Keyslot {
  return keyslot.type === "luks2" && "kdf" in keyslot;
}
