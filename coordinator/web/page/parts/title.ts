import { useEffect } from "preact/hooks";
import { common } from "../text/common.ts";

/** The window's title, of the view that is shown. */
export function useTitle(text: string): void {
  useEffect(() => {
    document.title = text === "" ? common.product : `${text} · ${common.product}`;
  }, [text]);
}
