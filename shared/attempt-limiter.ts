import { LRUCache } from "lru-cache";
import { PluckError } from "./errors.ts";

export interface AttemptLimiterOptions {
  /** Wrong ones in a row before the first wait; default 5. */
  readonly free?: number;
  /** The first wait; each further wrong one doubles it. Default 10 s. */
  readonly firstWaitS?: number;
  /** The longest wait; default an hour. */
  readonly maxWaitS?: number;
  readonly now?: () => number;
}

export interface Attempt {
  /** The key was right: what went wrong before is forgotten. */
  succeeded(): void;
  /** It says nothing of the key: it doesn't count. */
  withdraw(): void;
}

interface Failures {
  count: number;
  /** Before this, in ms, no further attempt is made. */
  blockedUntil: number;
}

/** More than are tried at a time; one that falls out begins anew. */
const maxSubjects = 10_000;

/** Slows down guessing: each attempt counts as wrong from its beginning, so that many at once gain nothing. */
export class AttemptLimiter {
  readonly #failures = new LRUCache<string, Failures>({ max: maxSubjects });
  readonly #options: Required<AttemptLimiterOptions>;

  constructor({ free = 5, firstWaitS = 10, maxWaitS = 3600, now = Date.now }: AttemptLimiterOptions = {}) {
    this.#options = { free, firstWaitS, maxWaitS, now };
  }

  /** @param subject what is guessed at @throws PluckError too_many_attempts, with the seconds to wait */
  begin(subject: string): Attempt {
    const { free, firstWaitS, maxWaitS, now } = this.#options;
    const failures = this.#failures.get(subject) ?? { count: 0, blockedUntil: 0 };
    const waitS = Math.ceil((failures.blockedUntil - now()) / 1000);
    if (waitS > 0) throw new PluckError("too_many_attempts", `Too many wrong keys for this volume; the next one is taken in ${waitS} s.`, { retryAfterS: waitS });
    const before = { ...failures };
    failures.count += 1;
    if (failures.count >= free) failures.blockedUntil = now() + Math.min(maxWaitS, firstWaitS * 2 ** (failures.count - free)) * 1000;
    this.#failures.set(subject, failures);
    return {
      succeeded: () => this.#failures.delete(subject),
      withdraw: () => {
        failures.count = Math.max(0, failures.count - 1);
        failures.blockedUntil = Math.min(failures.blockedUntil, before.blockedUntil);
      },
    };
  }
}
