import { useEffect } from "preact/hooks";
import { useSignal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Loaded } from "./load.ts";

/**
 * Fetches again now and then while the page is looked at, and as soon as it is looked at again. An
 * answer that is still on its way is waited for: on a slow line each would be given up for the next.
 */
export function useRefresh({ state, reload }: { state: ReadonlySignal<Loaded<unknown>>; reload: () => void }, everyMs: number): void {
  useEffect(() => {
    const refresh = (): void => {
      if (document.visibilityState === "visible" && !state.peek().loading) reload();
    };
    const timer = setInterval(refresh, everyMs);
    document.addEventListener("visibilitychange", refresh);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", refresh);
    };
  }, [everyMs]);
}

/** Milliseconds since 1970, a new value each second. */
export function useNow(): Signal<number> {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => { now.value = Date.now(); }, 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
