import { useEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listFolder } from "../../api/links.ts";
import { ApiError, asApiError } from "../../api/problem.ts";
import type { Backup, Entry } from "../../api/types.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import type { ListControl } from "../../parts/virtual-list.tsx";
import { hrefOf, navigate } from "../../state/route.ts";
import { files } from "../../text/files.ts";
import { Actions } from "./actions.tsx";
import { BrowserModel } from "./browser-model.ts";
import { change } from "./compare.ts";
import { ComparisonNote } from "./comparison-note.tsx";
import type { Chosen } from "./chosen.ts";
import { Details } from "./details/details.tsx";
import { GuestMounts } from "./details/guest-mounts.tsx";
import { diskSession, type DiskSession } from "./disk-session.ts";
import { FileList } from "./file-list.tsx";
import { Folder, meantEntry } from "./folder.ts";
import { FolderStatus, MissingNote } from "./folder-notes.tsx";
import { parentOf } from "./guest-paths.ts";
import { listCommand, type LeavingCommand } from "./keys.ts";
import { forgetNotice, tellError } from "./notice.tsx";
import { PathBar } from "./path-bar.tsx";
import { Preview } from "./preview/preview.tsx";
import { isComparing } from "./restore-points.tsx";
import { useComparison } from "./use-comparison.ts";

interface Props {
  readonly disk: DiskSession;
  readonly path: string;
  /** The restore point to compare with, where there is one. */
  readonly before: Backup | undefined;
  readonly archiveName: string;
}

/** On narrow screens details come on request. */
const wideEnough = "(min-width: 900px)";

/** One folder of a disk: its entries, what is known of them, and what may be done with them. */
export function Browser({ disk, path, before, archiveName }: Props) {
  const model = useMemo(() => new BrowserModel(new Folder(disk, path)), [disk, path]);
  const { folder, rows, selection } = model;
  const control = useRef<ListControl | null>(null);
  const filter = useRef<HTMLInputElement>(null);
  const isTyping = useSignal(false);
  const isDetailed = useSignal(matchMedia(wideEnough).matches);
  const preview = useSignal<Chosen | undefined>(undefined);
  const beforeDisk = isComparing.value && before !== undefined ? diskSession(before.backup_id, disk.diskIndex) : undefined;
  const comparison = useComparison(model, beforeDisk);

  useEffect(() => {
    forgetNotice();
    isTyping.value = false;
    void folder.load().then(() => {
      const meant = meantEntry(folder);
      const at = meant === undefined ? undefined : model.want(meant);
      if (at !== undefined) control.current?.reveal(at);
    });
    // Whoever came here by the keyboard goes on with it.
    if (document.activeElement === document.body || document.activeElement?.closest(".files") != null) control.current?.focus();
    return () => folder.close();
  }, [model]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const command = listCommand(event)?.kind;
      const isInField = event.target instanceof Element && event.target.closest("input, textarea, select, dialog") !== null;
      if (command !== "path" && (command !== "filter" || isInField || event.defaultPrevented)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      event.preventDefault();
      run(command);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [model]);

  const diskOf = (row: number): DiskSession => (rows.changeOf(row) === change.gone && beforeDisk !== undefined ? beforeDisk : disk);
  const chosenOf = (row: number): Chosen[] => {
    const entry = rows.entryOf(row);
    return entry === undefined ? [] : [{ disk: diskOf(row), entry }];
  };
  const focusList = (): void => control.current?.focus();

  function run(command: LeavingCommand): void {
    switch (command) {
      case "open":
        return void open();
      case "parent":
        model.rememberWayUp();
        return navigate({ view: "files", backupId: disk.backupId, diskIndex: disk.diskIndex, path: parentOf(folder.place.peek() ?? path) });
      case "filter":
        return filter.current?.focus();
      case "path":
        isTyping.value = true;
        return undefined;
      case "clear":
        if (selection.size > 0) return selection.clear();
        return setFilter("");
    }
  }

  async function open(): Promise<void> {
    const [chosen] = chosenOf(model.focused.peek());
    if (chosen === undefined) return;
    const { disk: from, entry } = chosen;
    const enter = (): void => navigate({ view: "files", backupId: from.backupId, diskIndex: from.diskIndex, path: entry.path });
    forgetNotice();
    if (entry.error !== undefined || entry.type === "other") isDetailed.value = true;
    else if (entry.type === "directory") enter();
    else if (entry.type === "file") preview.value = chosen;
    else {
      const target = await targetOf(from, entry);
      if (target === "folder") enter();
      else if (target === "file") preview.value = chosen;
    }
  }

  function setFilter(typed: string): void {
    rows.filter.value = typed;
    if (model.position.peek() < 0) model.moveTo(0, false);
    control.current?.reveal(Math.max(0, model.position.peek()));
  }

  void selection.version.value;
  void model.focused.value;
  const focused = chosenOf(model.focused.value)[0];
  const place = folder.place.value ?? path;
  const { error } = folder;
  return (
    <div class="browser">
      <div class="toolbar">
        <PathBar disk={disk} path={place} isTyping={isTyping} onDone={focusList} />
        <button type="button" title={files.up} aria-label={files.up} onClick={() => run("parent")}>↑</button>
        <input
          ref={filter}
          type="search"
          class="filter"
          aria-label={files.filter}
          placeholder={files.filter}
          title={files.filterHint}
          value={rows.filter.value}
          onInput={(event) => setFilter(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") setFilter("");
            if (event.key !== "Escape" && event.key !== "Enter" && event.key !== "ArrowDown") return;
            event.preventDefault();
            event.stopPropagation();
            focusList();
          }}
        />
        <button type="button" aria-pressed={isDetailed.value} onClick={() => { isDetailed.value = !isDetailed.value; }}>{files.details}</button>
      </div>
      <MissingNote folder={folder} />
      {path === place || folder.instead.value !== undefined || folder.place.value === undefined ? null : <p class="quiet through-link">{files.throughLink(path)}</p>}
      <GuestMounts disk={disk} path={place} />
      {isComparing.value ? <ComparisonNote state={comparison.value} comparison={rows.comparison.value} before={before} /> : null}
      {error.value === undefined ? null : <ErrorNote error={error.value} onRetry={() => void folder.load()} />}
      {error.value !== undefined && folder.place.value === undefined ? <p><a href={hrefOf({ view: "files", backupId: disk.backupId, diskIndex: disk.diskIndex, path: "/" })}>{files.backToVolumes}</a></p> : null}
      <div class={isDetailed.value ? "panes panes-two" : "panes"}>
        <div class="pane-list">
          <FileList model={model} control={control} onCommand={run} />
          <FolderStatus folder={folder} rows={rows} />
        </div>
        {isDetailed.value ? (
          <section class="pane-details" aria-label={files.details} tabIndex={0}>
            <Details disk={focused?.disk ?? disk} entry={focused?.entry} onPreview={focused !== undefined && isPreviewable(focused.entry) ? () => { preview.value = focused; } : undefined} />
          </section>
        ) : null}
      </div>
      <Actions count={selection.size > 0 ? selection.size : focused === undefined ? 0 : 1} hasChosen={selection.size > 0} chosen={() => model.subjects().flatMap(chosenOf)} onClear={() => selection.clear()} archiveName={archiveName} />
      {preview.value === undefined ? null : <Preview disk={preview.value.disk} entry={preview.value.entry} onClose={() => { preview.value = undefined; focusList(); }} />}
    </div>
  );
}

function isPreviewable(entry: Entry): boolean {
  return entry.error === undefined && (entry.type === "file" || entry.type === "symlink");
}

/** Where a link leads: the agent follows it, inside the guest's tree. What it can't follow is told. */
async function targetOf(disk: DiskSession, entry: Entry): Promise<"folder" | "file" | undefined> {
  try {
    await disk.use((mountId) => listFolder(mountId, entry.path, { limit: 1 }));
    return "folder";
  } catch (error) {
    if (error instanceof ApiError && error.code === "not_a_directory") return "file";
    tellError(asApiError(error));
    return undefined;
  }
}
