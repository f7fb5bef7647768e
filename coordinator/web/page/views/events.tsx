import { useSignal } from "@preact/signals";
import { listEvents } from "../api/catalog.ts";
import type { AuditEvent } from "../api/types.ts";
import { ErrorNote } from "../parts/error-note.tsx";
import { formatExact, formatTime } from "../parts/format.ts";
import { useTitle } from "../parts/title.ts";
import { usePages } from "../state/pages.ts";
import { catalog } from "../text/catalog.ts";
import { common } from "../text/common.ts";
import { Name } from "./files/name.tsx";
import "../style/catalog.css";

const text = catalog.events;

/** Who opened, linked, downloaded and ended what; newest first. */
export function EventsView() {
  useTitle(text.title);
  const filter = useSignal("");
  const { state, more, reload } = usePages<AuditEvent>(async (cursor, signal) => {
    const { events, next } = await listEvents(cursor, signal);
    return { items: events, next };
  }, []);
  const { items, next, loading, error } = state.value;
  const shown = items?.filter((event) => matches(event, filter.value));
  return (
    <>
      <h1>{text.title}</h1>
      <div class="search">
        <label class="hidden-label" for="event-filter">{text.filter}</label>
        <input id="event-filter" type="search" data-first-focus placeholder={text.filter} autocomplete="off" spellcheck={false} value={filter.value} onInput={(event) => { filter.value = event.currentTarget.value; }} />
        {items === undefined || shown === undefined ? null : <span class="quiet" role="status">{text.shown(shown.length, items.length)}</span>}
      </div>
      {error === undefined ? null : <ErrorNote error={error} onRetry={reload} />}
      {shown === undefined ? (error === undefined ? <p class="quiet">{common.loading}</p> : null) : shown.length === 0 ? <p class="quiet">{items?.length === 0 ? text.none : text.noMatch}</p> : <EventTable events={shown} />}
      {next === undefined ? null : <p><button type="button" disabled={loading} onClick={more}>{text.older}</button></p>}
    </>
  );
}

function EventTable({ events }: { events: readonly AuditEvent[] }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={text.table}>
      <table class="events">
        <thead>
          <tr>{[text.time, text.actor, text.type, text.target, text.path].map((head) => <th key={head} scope="col">{head}</th>)}<th scope="col" class="number">{text.bytes}</th><th scope="col">{text.outcome}</th></tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <tr key={event.id}>
              <td class="moment">{formatTime(event.at)}</td>
              <td>{event.actor}</td>
              <td>{typeOf(event)}</td>
              <td title={event.mount_id ?? undefined}>{targetOf(event)}</td>
              <td class="path">{event.path === null ? null : <Name name={event.path} />}</td>
              <td class="number">{event.bytes === null ? "" : formatExact(event.bytes)}</td>
              <td>{event.outcome}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function typeOf({ type, operation }: AuditEvent): string {
  return operation === null ? type : `${type}: ${operation}`;
}

function targetOf({ backup_id, disk_index, agent_id }: AuditEvent): string {
  return backup_id === null ? (agent_id ?? "") : text.disk(backup_id, disk_index);
}

function matches(event: AuditEvent, wanted: string): boolean {
  const words = wanted.trim().toLowerCase();
  if (words === "") return true;
  return [formatTime(event.at), event.actor, typeOf(event), targetOf(event), event.agent_id, event.mount_id, event.path, event.outcome].some((value) => value?.toLowerCase().includes(words) === true);
}
