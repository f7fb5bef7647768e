import { Component } from "preact";
import type { Entry } from "../../api/types.ts";
import { formatSize, formatTime } from "../../parts/format.ts";
import type { RowPlace } from "../../parts/virtual-list.tsx";
import { files } from "../../text/files.ts";
import { change } from "./compare.ts";
import { Icon } from "./icon.tsx";
import { EntryName, Name } from "./name.tsx";
import { visibleText } from "./visible-name.ts";

interface Props {
  readonly entry: Entry;
  readonly position: number;
  readonly place: RowPlace;
  readonly id: string;
  readonly isFocused: boolean;
  readonly isChosen: boolean;
  readonly changeKind: number;
}

const changeClasses = ["", " row-added", " row-changed", " row-gone"];

/**
 * One entry of the list. Clicks are the list's: it finds the row by `data-position`. A row that stays
 * as it is costs nothing when the list is scrolled.
 */
export class EntryRow extends Component<Props> {
  override shouldComponentUpdate(next: Props): boolean {
    const now = this.props;
    return (
      next.entry !== now.entry || next.position !== now.position || next.place.style.transform !== now.place.style.transform ||
      next.isFocused !== now.isFocused || next.isChosen !== now.isChosen || next.changeKind !== now.changeKind
    );
  }

  override render({ entry, position, place, id, isFocused, isChosen, changeKind }: Props) {
    const { error } = entry;
    return (
      <div
        id={id}
        role="row"
        aria-rowindex={position + 2}
        aria-selected={isChosen}
        data-position={position}
        style={place.style}
        class={`entry-row${isFocused ? " row-focused" : ""}${isChosen ? " row-chosen" : ""}${changeClasses[changeKind] ?? ""}`}
      >
        <div role="gridcell" class="cell-name" title={visibleText(entry.name)}>
          <span class="row-check" aria-hidden="true" />
          <Icon type={entry.type} />
          <span class="entry-name"><EntryName entry={entry} /></span>
          {entry.type === "file" ? null : <span class="hidden-label">{files.types[entry.type]}</span>}
          {entry.symlink_target === undefined ? null : <span class="link-target"><span aria-hidden="true">→ </span><Name name={entry.symlink_target} /></span>}
          {error === undefined ? null : <span class="tag tag-bad" title={error.detail}>{files.unreadable(error.code)}</span>}
          {changeKind === change.none ? null : <span class={`tag change-tag change-${files.changeName[changeKind] ?? ""}`} title={changeKind === change.gone ? files.goneHint : undefined}>{files.changeName[changeKind]}</span>}
        </div>
        <div role="gridcell" class="cell-size">{entry.type === "directory" ? "" : formatSize(entry.size)}</div>
        <div role="gridcell" class="cell-time">{formatTime(entry.modified_at)}</div>
        <div role="gridcell" class="cell-mode">{entry.mode}</div>
        <div role="gridcell" class="cell-owner">{entry.uid === null ? "" : `${entry.uid}:${entry.gid ?? ""}`}</div>
      </div>
    );
  }
}
