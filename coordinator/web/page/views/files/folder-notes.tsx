import { files } from "../../text/files.ts";
import type { Folder } from "./folder.ts";
import type { FolderRows } from "./folder-rows.ts";
import { visibleText } from "./visible-name.ts";

/** The folder that was asked for is not there: what is shown instead, and the way back. */
export function MissingNote({ folder }: { folder: Folder }) {
  if (folder.instead.value !== "missing") return null;
  return (
    <p class="note note-missing" role="status">
      {files.missing(visibleText(folder.path))} <button type="button" onClick={() => history.back()}>{files.wayBack}</button>
    </p>
  );
}

/** How many entries there are, and whether that is all. */
export function FolderStatus({ folder, rows }: { folder: Folder; rows: FolderRows }) {
  const count = folder.count.value;
  const shown = rows.order.value.length;
  const isFiltered = rows.filter.value.trim() !== "";
  const isComplete = folder.isComplete.value;
  const isStopped = folder.error.value !== undefined;
  return (
    <div class="folder-status quiet">
      <span role="status">{isFiltered && shown === 0 ? files.noMatch : isComplete && shown === 0 ? files.empty : isFiltered ? files.countFiltered(shown, count) : isComplete ? files.count(count) : isStopped ? (count === 0 ? "" : files.countStopped(count)) : files.countLoading(count)}</span>
      <span id="list-keys" class="keys-hint">{files.keys}</span>
    </div>
  );
}
