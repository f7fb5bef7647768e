import type { ComponentChildren } from "preact";
import type { Entry, FileInfo } from "../../../api/types.ts";
import { CopyButton } from "../../../parts/copy-button.tsx";
import { formatExact, formatSize } from "../../../parts/format.ts";
import { files } from "../../../text/files.ts";
import { modeLetters } from "../attributes.ts";
import { Name } from "../name.tsx";

const { facts } = files;

/** What is known of an entry, line by line: at once from its listing, the rest when `info` is there. */
export function Facts({ entry, info, hash }: { entry: Entry; info: FileInfo | undefined; hash: ComponentChildren }) {
  return (
    <dl class="entry-facts">
      <Fact name={facts.path}><code><Name name={entry.path} /></code> <CopyButton text={entry.path} /></Fact>
      <Fact name={facts.type}>{files.types[entry.type]}</Fact>
      {entry.error === undefined ? null : <Fact name={facts.problem}><span class="bad">{entry.error.detail}</span> <code>{entry.error.code}</code></Fact>}
      {entry.symlink_target === undefined ? null : <Fact name={facts.target}><code><Name name={entry.symlink_target} /></code></Fact>}
      {entry.size === null || entry.type === "directory" ? null : <Fact name={facts.size}>{formatSize(entry.size)} <span class="quiet">({files.bytes(formatExact(entry.size))})</span></Fact>}
      {entry.mode === null ? null : <Fact name={facts.mode}><code>{entry.mode}</code> <code>{modeLetters(entry.mode)}</code></Fact>}
      {entry.uid === null && entry.gid === null ? null : <Fact name={facts.owner}>{files.ownerOf(entry.uid, entry.gid)}</Fact>}
      <Time name={facts.modified} value={entry.modified_at} />
      {info === undefined ? null : (
        <>
          <Time name={facts.changed} value={info.changed_at} />
          <Time name={facts.accessed} value={info.accessed_at} />
          <Time name={facts.created} value={info.created_at} />
          {info.hard_links === null ? null : <Fact name={facts.links}>{formatExact(info.hard_links)}</Fact>}
          {info.device === undefined ? null : <Fact name={facts.device}>{files.deviceOf(info.device.major, info.device.minor)}</Fact>}
        </>
      )}
      {hash === null ? null : <Fact name={facts.hash}>{hash}</Fact>}
    </dl>
  );
}

/** With all the digits that the disk stores. */
function Time({ name, value }: { name: string; value: string | null }) {
  return value === null ? null : <Fact name={name}><time dateTime={value} class="mono">{value}</time></Fact>;
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
