import { useEffect } from "preact/hooks";
import { useSignal, type Signal } from "@preact/signals";

/** Calls `reload` now and then while the page is looked at, and as soon as it is looked at again. */
export function useRefresh(reload: () => void, everyMs: number): void {
  useEffect(() => {
    const refresh = (): void => {
      if (document.visibilityState === "visible") reload();
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
