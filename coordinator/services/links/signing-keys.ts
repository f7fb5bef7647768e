import { desc, eq, gt, isNull, or } from "drizzle-orm";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { nanoid } from "nanoid";
import { maxLinkLifeS, openLinkSigner, type LinkSigner } from "../../../shared/link.ts";
import { jwksSchema } from "../../../shared/messages.ts";
import type { Clock, Links } from "../../context.ts";
import { isDuplicateKey, type Database } from "../../database/connect.ts";
import { signingKeys } from "../../database/schema.ts";

/** How long a key is used without looking whether another coordinator has retired it. */
const cacheMs = 30_000;

/**
 * The keys that sign links, one active at a time, in the database: made once by whichever coordinator
 * needs one first. An agent gets only the public halves.
 */
export function createLinks(db: Database, clock: Clock): Links {
  let cached: { until: number; keys: Promise<KeyRow[]> } | undefined;
  let signer: { kid: string; opened: Promise<LinkSigner> } | undefined;

  const load = async (): Promise<KeyRow[]> => {
    const now = clock.now();
    if (cached === undefined || cached.until < now.getTime()) {
      const keys = loadKeys(db, now);
      const entry = { until: now.getTime() + cacheMs, keys };
      cached = entry;
      // A failure is not kept.
      keys.catch(() => {
        if (cached === entry) cached = undefined;
      });
    }
    return await cached.keys;
  };

  return {
    signer: async () => {
      const active = (await load()).find((key) => key.active === 1);
      if (active === undefined) throw new Error("there is no active signing key");
      if (signer?.kid !== active.kid) signer = { kid: active.kid, opened: openLinkSigner(active.privateJwk) };
      return await signer.opened;
    },
    jwks: async () => jwksSchema.parse({ keys: (await load()).map(({ privateJwk }) => toPublic(privateJwk)) }) as Awaited<ReturnType<Links["jwks"]>>,
  };
}

/** Retires the active key: the next link is signed with a new one; links that are out stay valid until they expire. */
export async function rotateSigningKey(db: Database, clock: Clock): Promise<void> {
  await db.update(signingKeys).set({ active: null, retiredAt: clock.now() }).where(eq(signingKeys.active, 1));
}

type KeyRow = typeof signingKeys.$inferSelect;

/** An agent's message holds at most this many; rotated daily for a month, only a week's worth is alive. */
const maxKeys = 32;

async function loadKeys(db: Database, now: Date): Promise<KeyRow[]> {
  const found = await selectAlive(db, now);
  if (found.some((key) => key.active === 1)) return found;
  await makeKey(db, now);
  return await selectAlive(db, now);
}

async function selectAlive(db: Database, now: Date): Promise<KeyRow[]> {
  const alive = new Date(now.getTime() - maxLinkLifeS * 1000);
  return await db
    .select()
    .from(signingKeys)
    .where(or(isNull(signingKeys.retiredAt), gt(signingKeys.retiredAt, alive)))
    .orderBy(desc(signingKeys.active), desc(signingKeys.createdAt))
    .limit(maxKeys);
}

/** `active` is unique: of several coordinators that do this at once, one wins and the others use its key. */
async function makeKey(db: Database, now: Date): Promise<void> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const kid = `key-${nanoid(12)}`;
  const privateJwk: JWK = { ...(await exportJWK(privateKey)), kid, alg: "EdDSA", use: "sig" };
  try {
    await db.insert(signingKeys).values({ kid, privateJwk, active: 1, createdAt: now });
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
  }
}

/** Named members only: a member added to the private key one day can't leak. */
function toPublic({ kty, crv, x, kid }: JWK): JWK {
  return { kty: kty ?? "OKP", crv: crv ?? "Ed25519", x: x ?? "", kid: kid ?? "", alg: "EdDSA", use: "sig" };
}
