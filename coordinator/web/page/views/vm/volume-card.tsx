import { useSignal } from "@preact/signals";
import { createLink } from "../../api/links.ts";
import { asApiError, type ApiError } from "../../api/problem.ts";
import type { Mount, Volume } from "../../api/types.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import { formatExact, formatSize } from "../../parts/format.ts";
import { advice } from "../../text/advice.ts";
import { catalog } from "../../text/catalog.ts";
import { Name } from "../files/name.tsx";
import { visibleText } from "../files/visible-name.ts";
import { startDownload } from "./raw-download.ts";
import { UnlockForm } from "./unlock-form.tsx";

const text = catalog.volumes;

/** One volume: what it is, how full, whether its filesystem was clean; else why it can't be read, and its raw bytes. */
export function VolumeCard({ mountId, volume, href, onUnlocked }: { mountId: string; volume: Volume; href: string; onUnlocked: (mount: Mount) => void }) {
  const { name, path, kind, size_bytes, filesystem_type, label, used_bytes, state, partition, readable, error } = volume;
  const isLocked = error?.code === "volume_locked";
  const shownLabel = label ?? partition?.label ?? null;
  return (
    <li class={`card ${readable ? "card-opens" : "card-shut"}`}>
      <div class="card-head">
        <h3>{readable ? <a class="card-link" data-row href={href}><Name name={name} /></a> : <Name name={name} />}</h3>
        <span class="quiet">{text.what[kind]}</span>
        {isLocked ? <span class="tag tag-warn">{text.locked}</span> : readable ? null : <span class="tag tag-bad">{text.unreadable}</span>}
        {state === null || !readable ? null : <span class={`tag ${state === "dirty" ? "tag-warn" : "tag-good"}`} title={text.stateHelp[state]}>{text.state[state]}</span>}
      </div>
      <dl class="facts">
        <div><dt>{text.filesystem}</dt><dd>{filesystem_type ?? text.unknownType}</dd></div>
        {shownLabel === null || shownLabel === "" ? null : <div><dt>{text.label}</dt><dd><Name name={shownLabel} /></dd></div>}
        <div><dt>{text.size}</dt><dd title={formatExact(size_bytes)}>{formatSize(size_bytes)}</dd></div>
      </dl>
      {used_bytes === null || size_bytes === 0 ? null : <UsedBar name={visibleText(name)} usedBytes={used_bytes} sizeBytes={size_bytes} />}
      {error === null || isLocked ? null : <p class="why">{visibleText(error.detail)} {advice[error.code]} <span class="quiet">({error.code})</span></p>}
      {isLocked ? <UnlockForm mountId={mountId} volume={name} onUnlocked={onUnlocked} /> : null}
      {readable ? null : <RawDownload mountId={mountId} name={name} path={path} />}
    </li>
  );
}

function UsedBar({ name, usedBytes, sizeBytes }: { name: string; usedBytes: number; sizeBytes: number }) {
  const percent = Math.min(100, Math.round((usedBytes / sizeBytes) * 100));
  return (
    <div class="used">
      <meter min={0} max={100} value={percent} aria-label={text.usedLabel(name)}>{percent} %</meter>
      <span class="quiet">{text.used(formatSize(usedBytes), formatSize(sizeBytes), percent === 0 && usedBytes > 0 ? text.underOne : String(percent))}</span>
    </div>
  );
}

function RawDownload({ mountId, name, path }: { mountId: string; name: string; path: string }) {
  const failure = useSignal<ApiError | undefined>(undefined);
  async function download(): Promise<void> {
    failure.value = undefined;
    try {
      await startDownload(await createLink(mountId, { operation: "download", path, raw: true }));
    } catch (thrown) {
      failure.value = asApiError(thrown);
    }
  }
  return (
    <>
      <p class="card-foot"><button type="button" aria-label={text.rawLabel(visibleText(name))} onClick={() => void download()}>{text.raw}</button></p>
      {failure.value === undefined ? null : <ErrorNote error={failure.value} />}
    </>
  );
}
