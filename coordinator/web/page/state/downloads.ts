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
 * @returns false when the person closed the dialog
 */
export async function startManaged(name: string, totalBytes: number, link: () => Promise<string>): Promise<boolean> {
  let target: DownloadTarget;
  try {
    const handle = await (window as unknown as SavePicker).showSaveFilePicker({ suggestedName: name });
    target = await handle.createWritable();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return false;
    throw error;
  }
  const download = new ManagedDownload(name, totalBytes, link, target);
  downloads.value = [download, ...downloads.peek()];
  void download.run();
  return true;
}

/** Takes it from the list; one that is not done is cancelled. */
export function dismissDownload(download: ManagedDownload): void {
  if (download.state.peek() !== "done") void download.cancel();
  downloads.value = downloads.peek().filter((other) => other !== download);
}
