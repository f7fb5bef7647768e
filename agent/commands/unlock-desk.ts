import { randomUUID } from "node:crypto";
import { type CryptoKey, exportJWK, generateKeyPair } from "jose";
import { AttemptLimiter } from "../../shared/attempt-limiter.ts";
import { PluckError } from "../../shared/errors.ts";
import type { SealKey } from "../../shared/messages.ts";
import { sealAlgorithm, sealCurve } from "../../shared/sealed-secret.ts";

/** What a coordinator gets to send the sealed secret in. */
const keyLifeMs = 60_000;
/** Keys asked for and not used yet; the oldest is forgotten first. */
const maxKeys = 256;
/** Unlocking takes up to 2 GiB and a thread of the four that also read files: two at a time are enough. */
const maxRunning = 2;
const maxWaiting = 16;
const busyRetryAfterS = 10;

interface IssuedKey {
  readonly privateKey: CryptoKey;
  readonly expiresAtMs: number;
}

/**
 * What unlocking needs besides the disk: key pairs that are used once, so that a recorded message opens nothing, not
 * even for whoever gets into this process later; a limit on wrong keys; and a limit on what runs at a time.
 */
export class UnlockDesk {
  /** By disk and volume, so that ending the mount and opening it anew gives no further attempts. */
  readonly attempts = new AttemptLimiter();
  readonly #keys = new Map<string, IssuedKey>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  async issueKey(): Promise<SealKey> {
    const { publicKey, privateKey } = await generateKeyPair(sealAlgorithm, { crv: sealCurve });
    const { kty = "", crv = "", x = "" } = await exportJWK(publicKey);
    const kid = randomUUID();
    const expiresAtMs = Date.now() + keyLifeMs;
    for (const [known, { expiresAtMs: end }] of this.#keys) {
      if (this.#keys.size >= maxKeys || end < Date.now()) this.#keys.delete(known);
    }
    this.#keys.set(kid, { privateKey, expiresAtMs });
    return { jwk: { kty, crv, x, kid }, expires_at: new Date(expiresAtMs).toISOString() };
  }

  /** The private half, once. @throws PluckError agent_timeout when it is used, too old, or of an agent that was restarted */
  takeKey(kid: string): CryptoKey {
    const key = this.#keys.get(kid);
    this.#keys.delete(kid);
    if (key === undefined || key.expiresAtMs < Date.now()) {
      throw new PluckError("agent_timeout", "The agent no longer has the key that the secret was encrypted with; try again.", { retryAfterS: 1 });
    }
    return key.privateKey;
  }

  /** Runs it when its turn comes. @throws PluckError too_many_attempts when too many wait */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= maxRunning) {
      if (this.#waiting.length >= maxWaiting) throw new PluckError("too_many_attempts", "This agent is unlocking as many volumes as it can.", { retryAfterS: busyRetryAfterS });
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The place is handed on as it is: nobody takes it in between.
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
