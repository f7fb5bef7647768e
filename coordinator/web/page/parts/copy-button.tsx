import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { common } from "../text/common.ts";
import { announce } from "./live.tsx";

const shownMs = 2000;

/** Copies a text, and says so. */
export function CopyButton({ text, label = common.copy }: { text: string; label?: string }) {
  const isCopied = useSignal(false);
  useEffect(() => {
    if (!isCopied.value) return undefined;
    const timer = setTimeout(() => { isCopied.value = false; }, shownMs);
    return () => clearTimeout(timer);
  }, [isCopied.value]);
  const copy = async (button: HTMLElement): Promise<void> => {
    isCopied.value = await copyText(text, button);
    if (isCopied.value) announce(common.copied);
  };
  return <button type="button" class="copy" onClick={(event) => void copy(event.currentTarget)}>{isCopied.value ? common.copied : label}</button>;
}

/** navigator.clipboard exists on https and localhost only; elsewhere the old way, from a field beside the button. */
async function copyText(text: string, beside: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "hidden-label";
    beside.after(field);
    field.select();
    const isDone = document.execCommand("copy");
    field.remove();
    beside.focus();
    return isDone;
  }
}
