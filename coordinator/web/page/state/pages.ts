import { useEffect, useRef } from "preact/hooks";
import { useSignal, type Signal } from "@preact/signals";
import { asApiError, isAbort, type ApiError } from "../api/problem.ts";

export interface Pages<T> {
  /** Undefined until the first page has come. */
  readonly items: readonly T[] | undefined;
  /** There are more. */
  readonly next: string | undefined;
  readonly loading: boolean;
  readonly error: ApiError | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | undefined;
}

/**
 * A listing that comes page by page, from its start again whenever one of `inputs` changes. What is
 * shown stays until the new first page is there; what is under way for earlier inputs is aborted.
 */
export function usePages<T>(fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>, inputs: readonly unknown[]): { state: Signal<Pages<T>>; more: () => void; reload: () => void } {
  const state = useSignal<Pages<T>>({ items: undefined, next: undefined, loading: true, error: undefined });
  const turn = useSignal(0);
  const underWay = useRef<AbortController | undefined>(undefined);

  const load = (cursor: string | undefined): void => {
    underWay.current?.abort();
    const abort = new AbortController();
    underWay.current = abort;
    state.value = { ...state.peek(), loading: true };
    fetchPage(cursor, abort.signal).then(
      (page) => {
        if (abort.signal.aborted) return;
        const before = cursor === undefined ? [] : (state.peek().items ?? []);
        state.value = { items: [...before, ...page.items], next: page.next, loading: false, error: undefined };
      },
      (error: unknown) => {
        if (!abort.signal.aborted && !isAbort(error)) state.value = { ...state.peek(), loading: false, error: asApiError(error) };
      },
    );
  };

  useEffect(() => {
    load(undefined);
    return () => underWay.current?.abort();
  }, [...inputs, turn.value]);

  return {
    state,
    more: () => {
      const { next, loading } = state.peek();
      if (next !== undefined && !loading) load(next);
    },
    reload: () => { turn.value += 1; },
  };
}
