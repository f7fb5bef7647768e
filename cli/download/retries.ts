import pRetry from "p-retry";
import { Failure } from "../output/failure.ts";

/** Errors that may be gone at the next attempt. */
const transient: ReadonlySet<string> = new Set<Failure["code"]>(["unreachable", "incomplete", "agent_offline", "agent_timeout", "database_unavailable", "io_error", "link_expired", "mount_not_found", "file_changed"]);

export interface RetryOptions {
  /** Attempts after the first; one that brought bytes is not counted. */
  readonly retries: number;
  readonly signal: AbortSignal;
  /** Whether the last attempt got further. */
  readonly hasAdvanced?: () => boolean;
  readonly onRetry?: (failure: Failure) => Promise<void> | void;
}

/** Half a second, then twice as long each time, ten seconds at most. */
export async function withRetries<T>(work: () => Promise<T>, { retries, signal, hasAdvanced, onRetry }: RetryOptions): Promise<T> {
  return await pRetry(work, {
    retries,
    minTimeout: 500,
    maxTimeout: 10_000,
    factor: 2,
    signal,
    shouldConsumeRetry: () => hasAdvanced?.() !== true,
    shouldRetry: ({ error }) => !signal.aborted && isTransient(error),
    onFailedAttempt: async ({ error, retriesLeft }) => {
      if (retriesLeft > 0 && !signal.aborted && isTransient(error)) await onRetry?.(error);
    },
  });
}

export function isTransient(error: unknown): error is Failure {
  return error instanceof Failure && !error.isFinal && transient.has(error.code);
}
