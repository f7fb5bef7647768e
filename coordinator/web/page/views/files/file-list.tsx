import { useLayoutEffect } from "preact/hooks";
import { VirtualList, type ListControl } from "../../parts/virtual-list.tsx";
import { files } from "../../text/files.ts";
import type { BrowserModel } from "./browser-model.ts";
import { EntryRow } from "./entry-row.tsx";
import { listCommand, type LeavingCommand } from "./keys.ts";
import { ListHead } from "./list-head.tsx";

/** As --row in the style sheet. */
const rowPx = 28;
const headPx = 30;

interface Props {
  readonly model: BrowserModel;
  readonly control: { current: ListControl | null };
  /** Keys that lead out of the list's own rows. */
  readonly onCommand: (command: LeavingCommand) => void;
}

/** The entries of a folder, of which only those that are seen exist as elements. */
export function FileList({ model, control, onCommand }: Props) {
  const order = model.rows.order.value;
  const position = model.position.value;
  const { count } = model.folder;
  // Read so that a change draws the rows anew.
  void model.selection.version.value;
  void model.rows.comparison.value;

  useLayoutEffect(() => {
    const found = model.settle();
    if (found !== undefined) control.current?.reveal(found);
  }, [model, count.value]);
  useLayoutEffect(() => control.current?.reveal(Math.max(0, model.position.peek())), [model]);

  const reveal = (at: number): void => { if (at >= 0) control.current?.reveal(at); };

  function onKeyDown(event: KeyboardEvent): void {
    if (event.target !== event.currentTarget) return;
    const command = listCommand(event);
    if (command === undefined) return;
    event.preventDefault();
    switch (command.kind) {
      case "move":
        return reveal(model.move(command.to, command.extend, control.current?.pageRows() ?? 1));
      case "jump":
        return reveal(model.jump(command.letter, performance.now()));
      case "toggle":
        return model.toggle(model.focused.peek());
      case "all":
        return model.chooseAll();
      default:
        return onCommand(command.kind);
    }
  }

  function onClick(event: MouseEvent): void {
    const at = positionOf(event);
    const row = order[at];
    if (row === undefined) return;
    const isCheck = event.target instanceof Element && event.target.closest(".row-check") !== null;
    model.moveTo(at, event.shiftKey);
    if (isCheck || event.ctrlKey || event.metaKey) model.toggle(row);
    // On a touch screen nobody clicks twice.
    else if (!event.shiftKey && "pointerType" in event && event.pointerType === "touch") onCommand("open");
  }

  function onDblClick(event: MouseEvent): void {
    if (positionOf(event) >= 0 && !(event.target instanceof Element && event.target.closest(".row-check") !== null)) onCommand("open");
  }

  return (
    <VirtualList
      count={order.length}
      rowPx={rowPx}
      headPx={headPx}
      head={<ListHead isAllChosen={order.length > 0 && model.selection.size >= order.length} onChooseAll={(all) => (all ? model.chooseAll() : model.selection.clear())} />}
      control={control}
      activePosition={position}
      rowId={rowId}
      attributes={{ role: "grid", class: "file-list", "aria-label": files.list, "aria-describedby": "list-keys", "aria-multiselectable": true, "aria-rowcount": order.length + 1, onKeyDown, onClick, onDblClick }}
      row={(at, place) => {
        const row = order[at] ?? -1;
        const entry = model.rows.entryOf(row);
        return entry === undefined ? null : (
          <EntryRow key={place.key} entry={entry} position={at} place={place} id={rowId(at)} isFocused={at === position} isChosen={model.selection.has(row)} changeKind={model.rows.changeOf(row)} />
        );
      }}
    />
  );
}

function rowId(position: number): string {
  return `entry-${position}`;
}

function positionOf(event: MouseEvent): number {
  const row = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-position]") : null;
  return row === null ? -1 : Number(row.dataset["position"]);
}
