import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import { moveAmongRows } from "./arrow-keys.ts";

/** Arrow keys move among a view's rows from wherever the focus is, but for text fields other than `above`. */
export function useRowKeys(list: RefObject<HTMLElement | null>, above?: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const move = (event: KeyboardEvent): void => {
      if (list.current === null || (isTextField(event.target) && event.target !== above?.current)) return;
      moveAmongRows(event, list.current, above?.current);
    };
    document.addEventListener("keydown", move);
    return () => document.removeEventListener("keydown", move);
  }, []);
}

export function isTextField(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
