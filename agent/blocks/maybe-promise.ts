import type { MaybePromise } from "./block-source.ts";

/** `next(value)`, at once when the value is at hand, else when it arrives. */
export function chain<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
