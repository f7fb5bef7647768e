/**
 * Runs work for what a producer gives, so many at a time; the producer runs ahead, so that what is to
 * come is known early. The first error ends all, and is thrown when everything that ran has ended.
 */
export async function runPool<T>(items: AsyncIterable<T>, jobs: number, work: (item: T) => Promise<void>, signal: AbortSignal): Promise<void> {
  const queue: T[] = [];
  let taken = 0;
  let isProduced = false;
  let failure: { error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();
  const signalMore = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  const fail = (error: unknown): void => {
    failure ??= { error };
    signalMore();
  };
  const isOver = (): boolean => failure !== undefined || signal.aborted;
  signal.addEventListener("abort", signalMore);

  const produce = async (): Promise<void> => {
    try {
      for await (const item of items) {
        if (isOver()) return;
        queue.push(item);
        signalMore();
      }
    } catch (error) {
      fail(error);
    } finally {
      isProduced = true;
      signalMore();
    }
  };
  const consume = async (): Promise<void> => {
    while (!isOver()) {
      if (taken < queue.length) {
        const item = queue[taken] as T;
        // What was taken is not kept, the rest moves up now and then.
        taken += 1;
        if (taken > 10_000) {
          queue.splice(0, taken);
          taken = 0;
        }
        await work(item).catch(fail);
      } else if (isProduced) {
        return;
      } else {
        await wake.promise;
      }
    }
  };
  await Promise.all([produce(), ...Array.from({ length: jobs }, consume)]);
  signal.removeEventListener("abort", signalMore);
  if (failure !== undefined) throw failure.error;
  signal.throwIfAborted();
}
