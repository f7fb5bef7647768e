import { vi } from "vitest";

/**
 * Waits until the check passes, for as long as a loaded machine may need; vi.waitFor alone gives it
 * one second.
 * @throws what the check threw last, after 20 s
 */
export function soon<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 20_000, interval: 25 });
}
