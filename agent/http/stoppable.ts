/**
 * Passes an iterable on until the signal aborts: then it throws the signal's reason at once, also
 * while the next item is awaited, and tells the iterable to stop.
 * @param atEnd awaited after the last item, before the end is told
 */
export async function* stoppable<T>(items: AsyncIterable<T>, signal: AbortSignal, atEnd?: () => Promise<void>): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  // One listener and one slot: racing every item against one long-lived promise would hold on to each.
  let interrupt: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => interrupt?.(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    while (true) {
      signal.throwIfAborted();
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        interrupt = reject;
        iterator.next().then(resolve, reject);
      });
      if (result.done === true) {
        await atEnd?.();
        return;
      }
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    iterator.return?.().catch(() => undefined);
  }
}
