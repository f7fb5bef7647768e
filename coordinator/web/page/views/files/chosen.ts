import { createLink } from "../../api/links.ts";
import { fetchLink } from "../../api/client.ts";
import { asApiError, isAbort } from "../../api/problem.ts";
import type { CreatedLink, Entry } from "../../api/types.ts";
import type { BasketItem } from "../../state/basket.ts";
import { canSaveItself, startManaged } from "../../state/downloads.ts";
import { files } from "../../text/files.ts";
import { prepareArchives, type ArchiveFormat, type PreparedArchive } from "./archives.ts";
import { downloadInFrame, postInFrame } from "./browser-download.ts";
import { curlForFile, curlForSelection, curlForStream } from "./curl.ts";
import type { DiskSession } from "./disk-session.ts";
import { forgetNotice, tell, tellError } from "./notice.tsx";
import { safeFileName, visibleText } from "./visible-name.ts";

/** From here on a download shows its progress, where the browser lets a page write to disk. */
const managedFromBytes = 64 * 1024 * 1024;
/** A curl line is pasted somewhere else first. */
const curlLifeS = 3600;

/** An entry, and the disk that it is on. */
export interface Chosen {
  readonly disk: DiskSession;
  readonly entry: Entry;
}

export function toBasketItem({ disk, entry }: Chosen): BasketItem {
  return { backupId: disk.backupId, diskIndex: disk.diskIndex, path: entry.path, name: entry.name, type: entry.type, size: entry.size };
}

/** One file as it is, one folder as an archive of its own, several as one archive. */
export async function downloadChosen(chosen: readonly Chosen[], format: ArchiveFormat, archiveName: string): Promise<void> {
  const [only] = chosen;
  if (only !== undefined && chosen.length === 1 && only.entry.type !== "directory") await downloadFile(only);
  else await downloadItems(chosen.map(toBasketItem), format, chosen.length === 1 && only !== undefined ? only.entry.name : archiveName);
}

async function downloadFile({ disk, entry }: Chosen): Promise<void> {
  await trying(async () => {
    const link = async (): Promise<string> => (await disk.use((mountId) => createLink(mountId, { operation: "download", path: entry.path }))).url;
    const name = safeFileName(entry.name);
    if (Number(entry.size) >= managedFromBytes && canSaveItself() && (await startManaged(name, Number(entry.size), link)) !== "refused") return;
    const url = await link();
    // A refusal is readable here, and would not be where the browser meets it.
    await fetchLink(url, { method: "HEAD" });
    downloadInFrame(url, refused);
    tell(files.started(visibleText(entry.name)));
  });
}

/** Every disk's items in one archive, or one a site. @returns whether it began */
export async function downloadItems(items: readonly BasketItem[], format: ArchiveFormat, name: string): Promise<boolean> {
  return await trying(async () => {
    const archives = await prepareArchives(items, format, safeFileName(name));
    for (const { url, selection } of archives) postInFrame(url, { selection }, refused);
    tell(archives.length > 1 ? files.severalAgents(archives.length) : files.started(archives[0]?.name ?? ""));
  });
}

export interface CurlLines {
  readonly text: string;
  readonly expiresAt: string;
}

/** @throws ApiError */
export async function curlForChosen(chosen: readonly Chosen[], format: ArchiveFormat, archiveName: string): Promise<CurlLines> {
  const [only] = chosen;
  if (only !== undefined && chosen.length === 1) {
    const { disk, entry } = only;
    const isFolder = entry.type === "directory";
    const link = await disk.use((mountId): Promise<CreatedLink> => createLink(mountId, { operation: isFolder ? "archive" : "download", path: entry.path, ttl_s: curlLifeS, ...(isFolder ? { format } : {}) }));
    return { text: isFolder ? curlForStream(link.url, `${entry.name}.${format}`) : curlForFile(link.url, entry.name), expiresAt: link.expires_at };
  }
  return await curlForItems(chosen.map(toBasketItem), format, archiveName);
}

/** @throws ApiError */
export async function curlForItems(items: readonly BasketItem[], format: ArchiveFormat, name: string): Promise<CurlLines> {
  const archives = await prepareArchives(items, format, safeFileName(name));
  const line = (archive: PreparedArchive): string => curlForSelection(archive.url, archive.selection, archive.name);
  return { text: archives.map(line).join("\n"), expiresAt: archives.map(({ expires_at: at }) => at).toSorted()[0] ?? "" };
}

function refused(): void {
  tellError({ code: "link_invalid", message: files.refused });
}

async function trying(action: () => Promise<void>): Promise<boolean> {
  forgetNotice();
  try {
    await action();
    return true;
  } catch (error) {
    if (!isAbort(error)) tellError(asApiError(error));
    return false;
  }
}
