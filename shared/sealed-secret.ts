import { compactDecrypt, CompactEncrypt, type CryptoKey, decodeProtectedHeader, importJWK, type JWK } from "jose";
import { z } from "zod";
import { PluckError } from "./errors.ts";
import type { SealKey } from "./messages.ts";

/** A compact JWE: the coordinator's ephemeral X25519 key, the agent's one-time key, AES-256-GCM. */
export const sealAlgorithm = "ECDH-ES";
export const sealCurve = "X25519";
const encryption = "A256GCM";

/** Longest passphrase and keyfile; cryptsetup reads keyfiles up to 8 MiB, but those that people make have 4 KiB or less. */
export const maxSecretBytes = 64 * 1024;

/** What a secret is for. It stands inside the encryption, so that the message can't be used for anything else. */
export interface SealedFor {
  readonly mountId: string;
  readonly volume: string;
}

const contentsSchema = z.object({ mount_id: z.string(), volume: z.string(), expires_at: z.iso.datetime(), secret: z.base64() });

/** Encrypts a passphrase or key for one agent, one mount, one volume, until the agent's key expires. */
export async function seal(secret: Uint8Array, { jwk, expires_at }: SealKey, { mountId, volume }: SealedFor): Promise<string> {
  const contents = { mount_id: mountId, volume, expires_at, secret: Buffer.from(secret).toString("base64") };
  const key = await importJWK(jwk as JWK, sealAlgorithm);
  return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(contents))).setProtectedHeader({ alg: sealAlgorithm, enc: encryption, kid: jwk.kid }).encrypt(key);
}

/** Which key it is encrypted for; "" when it isn't in the form of `seal`. */
export function sealedKeyId(sealed: string): string {
  try {
    return decodeProtectedHeader(sealed).kid ?? "";
  } catch {
    return "";
  }
}

/** @throws PluckError invalid_request, without a word of what is inside */
export async function openSealed(sealed: string, privateKey: CryptoKey, { mountId, volume }: SealedFor): Promise<Uint8Array> {
  const options = { keyManagementAlgorithms: [sealAlgorithm], contentEncryptionAlgorithms: [encryption] };
  const contents = await compactDecrypt(sealed, privateKey, options).then(
    ({ plaintext }) => contentsSchema.safeParse(JSON.parse(new TextDecoder().decode(plaintext))).data,
    () => undefined,
  );
  if (contents === undefined || contents.mount_id !== mountId || contents.volume !== volume) {
    throw new PluckError("invalid_request", "The secret was not encrypted for this agent, mount and volume.");
  }
  if (Date.parse(contents.expires_at) < Date.now()) throw new PluckError("agent_timeout", "The encrypted secret came too late; try again.", { retryAfterS: 1 });
  return Buffer.from(contents.secret, "base64");
}
