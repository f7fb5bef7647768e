import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listVms } from "../api/catalog.ts";
import type { Vm } from "../api/types.ts";
import { ErrorNote } from "../parts/error-note.tsx";
import { formatTime } from "../parts/format.ts";
import { isTextField, useRowKeys } from "../parts/row-keys.ts";
import { OfflineNotes, SiteTag } from "../parts/site-state.tsx";
import { useTitle } from "../parts/title.ts";
import { usePages } from "../state/pages.ts";
import { hrefOf, navigate } from "../state/route.ts";
import { useSites } from "../state/sites.ts";
import type { Site } from "../state/to-sites.ts";
import { catalog } from "../text/catalog.ts";
import { common } from "../text/common.ts";
import { EmptyCatalog } from "./vms/empty-catalog.tsx";
import "../style/catalog.css";

/** Short enough not to be felt, long enough that a typed word is one request. */
const debounceMs = 120;
const text = catalog.vms;

/** Every machine that has backups: search as one types, Enter opens. */
export function VmsView() {
  useTitle(text.title);
  const search = useRef<HTMLInputElement>(null);
  const view = useRef<HTMLDivElement>(null);
  useRowKeys(view, search);
  const typed = useSignal("");
  const asked = useSignal("");
  const sites = useSites();
  const { state, more, reload } = usePages<Vm>(async (cursor, signal) => {
    const { vms, next } = await listVms(asked.value, cursor, signal);
    return { items: vms, next };
  }, [asked.value]);
  const { items, next, loading, error } = state.value;

  useEffect(() => {
    const timer = setTimeout(() => { asked.value = typed.value.trim(); }, debounceMs);
    return () => clearTimeout(timer);
  }, [typed.value]);
  useEffect(() => {
    const focusSearch = (event: KeyboardEvent): void => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTextField(event.target)) return;
      event.preventDefault();
      search.current?.select();
      search.current?.focus();
    };
    document.addEventListener("keydown", focusSearch);
    return () => document.removeEventListener("keydown", focusSearch);
  }, []);

  function openFirst(event: SubmitEvent): void {
    event.preventDefault();
    const [first] = state.peek().items ?? [];
    // What is listed may be of an earlier word: only what was asked for opens.
    if (first !== undefined && !state.peek().loading && asked.peek() === typed.peek().trim()) navigate({ view: "vm", vmName: first.vm_name });
  }

  return (
    <div ref={view}>
      <h1>{text.title}</h1>
      <form class="search" role="search" onSubmit={openFirst}>
        <label class="hidden-label" for="vm-search">{text.searchLabel}</label>
        <input ref={search} id="vm-search" type="search" data-first-focus placeholder={text.searchLabel} autocomplete="off" spellcheck={false} value={typed.value} aria-describedby="vm-search-hint" onInput={(event) => { typed.value = event.currentTarget.value; }} />
        <span id="vm-search-hint" class="quiet">{text.searchHint}</span>
      </form>
      <OfflineNotes sites={sites.state.value.value ?? []} />
      {error === undefined ? null : <ErrorNote error={error} onRetry={reload} />}
      {items === undefined ? (error === undefined ? <p class="quiet">{common.loading}</p> : null) : items.length > 0 ? (
        <>
          <p class="quiet" role="status">{text.found(items.length, next !== undefined)}</p>
          <ul class="rows" aria-busy={loading}>{items.map((vm) => <VmRow key={vm.vm_name} vm={vm} sites={sites.state.value.value} />)}</ul>
          {next === undefined ? null : <p><button type="button" disabled={loading} onClick={more}>{text.more}</button></p>}
        </>
      ) : asked.value !== "" ? <p class="quiet" role="status">{text.noMatch(asked.value)}</p> : <EmptyCatalog sites={sites.state.value.value} onScanned={reload} />}
    </div>
  );
}

/** @param sites as they are now: fresher than what came with the machine */
function VmRow({ vm: { vm_name, repositories, restore_points, latest }, sites }: { vm: Vm; sites: readonly Site[] | undefined }) {
  return (
    <li>
      <a class="row" data-row href={hrefOf({ view: "vm", vmName: vm_name })}>
        <span class="row-name">{vm_name}</span>
        <span class="row-tags">{repositories.map(({ id, name, online }) => <SiteTag key={id} name={name} online={sites?.find((site) => site.id === id)?.online ?? online} />)}</span>
        <span class="row-facts quiet">
          <span>{text.points(restore_points)}</span>
          <span>{latest === null ? text.noneYet : latest.status === "completed" ? text.latest(latest.backup_type, formatTime(latest.completed_at)) : <span class="tag tag-warn">{text.latestUnfinished(latest.status)}</span>}</span>
        </span>
      </a>
    </li>
  );
}
