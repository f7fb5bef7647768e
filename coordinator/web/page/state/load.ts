import { useEffect } from "preact/hooks";
import { useSignal, type Signal } from "@preact/signals";
import { asApiError, isAbort, type ApiError } from "../api/problem.ts";

/** What is being fetched: nothing yet, a value (kept while it is fetched anew), an error. */
export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: ApiError | undefined;
  readonly loading: boolean;
}

/**
 * Fetches for a component, again whenever one of `inputs` changes; an answer that comes late, for
 * inputs of before, is dropped. `reload` fetches again with what is shown left standing.
 */
export function useLoad<T>(fetcher: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[]): { state: Signal<Loaded<T>>; reload: () => void } {
  const state = useSignal<Loaded<T>>({ value: undefined, error: undefined, loading: true });
  const turn = useSignal(0);
  useEffect(() => {
    state.value = { value: undefined, error: undefined, loading: true };
  }, inputs);
  useEffect(() => {
    const abort = new AbortController();
    state.value = { ...state.peek(), loading: true };
    fetcher(abort.signal).then(
      (value) => { if (!abort.signal.aborted) state.value = { value, error: undefined, loading: false }; },
      (error: unknown) => { if (!abort.signal.aborted && !isAbort(error)) state.value = { ...state.peek(), error: asApiError(error), loading: false }; },
    );
    return () => abort.abort();
  }, [...inputs, turn.value]);
  return { state, reload: () => { turn.value += 1; } };
}
