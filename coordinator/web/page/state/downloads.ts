import { signal } from "@preact/signals";
import { ManagedDownload, type DownloadTarget } from "./managed-download.ts";

/** Downloads that this page writes itself, the newest first. */
export const downloads = signal<readonly ManagedDownload[]>([]);

interface SavePicker {
  showSaveFilePicker(options: { suggestedName: string }): Promise<{ createWritable(): Promise<DownloadTarget> }>;
}

/** Chromium has it, on https and localhost; elsewhere the browser's own downloads serve. */
export function canSaveItself(): boolean {
  return "showSaveFilePicker" in window;
}

/**
 * Asks where to save, and begins. Has to be called while a click is being handled.
 * @returns "closed" when the person closed the dialog, "refused" when the browser or a policy of it said no
 */
export async function startManaged(name: string, totalBytes: number, link: () => Promise<string>): Promise<"started" | "closed" | "refused"> {
  let target: DownloadTarget;
  try {
    const handle = await (window as unknown as SavePicker).showSaveFilePicker({ suggestedName: name });
    target = await handle.createWritable();
  } catch (error) {
    return error instanceof DOMException && error.name === "AbortError" ? "closed" : "refused";
  }
  const download = new ManagedDownload(name, totalBytes, link, target);
  downloads.value = [download, ...downloads.peek()];
  void download.run();
  return "started";
}

// Closing the page would throw away what was written so far: the browser asks first.
if (typeof window !== "undefined") {
  window.addEventListener("beforeunload", (event) => {
    if (downloads.peek().some(({ state }) => state.peek() === "running" || state.peek() === "paused")) event.preventDefault();
  });
}

/** Takes it from the list; one that is not done is cancelled. */
export function dismissDownload(download: ManagedDownload): void {
  if (download.state.peek() !== "done") void download.cancel();
  downloads.value = downloads.peek().filter((other) => other !== download);
}
