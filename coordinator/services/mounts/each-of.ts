/** Runs over the items, at most `width` at a time; `run` must not throw. */
export async function eachOf<T>(items: readonly T[], width: number, run: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const item of left) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}
