import { files } from "../../text/files.ts";
import { sort } from "./folder-rows.ts";
import type { SortColumn } from "./sort.ts";

const sortable: readonly (readonly [column: SortColumn, cell: string, text: string])[] = [
  ["name", "cell-name", files.columns.name],
  ["size", "cell-size", files.columns.size],
  ["time", "cell-time", files.columns.time],
];

/** Column names: a click sorts by that column, another the other way round. */
export function ListHead({ isAllChosen, onChooseAll }: { isAllChosen: boolean; onChooseAll: (all: boolean) => void }) {
  return (
    <div role="row" aria-rowindex={1} class="list-head">
      {sortable.map(([column, cell, text]) => (
        <div role="columnheader" key={column} class={cell} aria-sort={sort.value.column === column ? (sort.value.descending ? "descending" : "ascending") : "none"}>
          {column === "name" ? <input type="checkbox" aria-label={files.chooseAll} title={files.chooseAll} checked={isAllChosen} onChange={(event) => onChooseAll(event.currentTarget.checked)} /> : null}
          <SortButton column={column} text={text} />
          {column === "name" ? <SortButton column="type" text={files.sortByType} /> : null}
        </div>
      ))}
      <div role="columnheader" class="cell-mode">{files.columns.mode}</div>
      <div role="columnheader" class="cell-owner">{files.columns.owner}</div>
    </div>
  );
}

function SortButton({ column, text }: { column: SortColumn; text: string }) {
  const { column: current, descending } = sort.value;
  const isCurrent = current === column;
  return (
    <button type="button" class="plain sort" title={files.sortBy(text)} onClick={() => { sort.value = { column, descending: isCurrent && !descending }; }}>
      {text}<span aria-hidden="true">{isCurrent ? (descending ? " ▾" : " ▴") : ""}</span>
    </button>
  );
}
