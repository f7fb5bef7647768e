import type { ComponentChildren, HTMLAttributes } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { heightOf, scrollTopFor, windowAt, type RowWindow } from "./virtual-window.ts";

/** Rows drawn beyond what is seen: a fast wheel shows no gap. */
const overscanRows = 8;

/** What a row element is given: elements are used again for other rows as the list is scrolled. */
export interface RowPlace {
  readonly key: number;
  readonly style: { readonly transform: string };
}

/** For the owner of the list. */
export interface ListControl {
  /** Scrolls until the row is seen whole. */
  reveal(position: number): void;
  /** Rows that fit the viewport, at least 1. */
  pageRows(): number;
  focus(): void;
}

interface Props {
  readonly count: number;
  readonly rowPx: number;
  /** Height of `head`, which stays on top. */
  readonly headPx: number;
  readonly head: ComponentChildren;
  readonly row: (position: number, place: RowPlace) => ComponentChildren;
  /** The row that has the keyboard; -1 for none. */
  readonly activePosition: number;
  readonly rowId: (position: number) => string;
  readonly control: { current: ListControl | null };
  /** Role, label, keyboard and the like of the scrolled element. */
  readonly attributes: HTMLAttributes<HTMLDivElement>;
}

/** A list that draws only the rows that are seen, however many there are. */
export function VirtualList({ count, rowPx, headPx, head, row, activePosition, rowId, control, attributes }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const [viewportPx, setViewportPx] = useState(600);
  const [scrollTopPx, setScrollTopPx] = useState(0);
  const geometry = { count, rowPx, viewportPx };
  const seen = windowAt(geometry, scrollTopPx, overscanRows);

  useLayoutEffect(() => {
    const list = element.current;
    if (list === null) return undefined;
    const measure = (): void => setViewportPx(Math.max(rowPx, list.clientHeight - headPx));
    const observer = new ResizeObserver(measure);
    observer.observe(list);
    measure();
    return () => observer.disconnect();
  }, []);

  // A shorter list (a filter, another folder) takes the scroll position back with it.
  useLayoutEffect(() => setScrollTopPx(element.current?.scrollTop ?? 0), [count]);

  control.current = {
    reveal(position) {
      const list = element.current;
      if (list === null) return;
      // Before the first measurement and in the same turn as new rows: sizes as they will be.
      const now = { count: Math.max(count, position + 1), rowPx, viewportPx: Math.max(rowPx, list.clientHeight - headPx) };
      const wanted = scrollTopFor(now, list.scrollTop, position);
      if (wanted !== list.scrollTop) list.scrollTop = wanted;
      setScrollTopPx(list.scrollTop);
    },
    pageRows: () => Math.max(1, Math.floor(viewportPx / rowPx) - 1),
    focus: () => element.current?.focus(),
  };

  const isActiveDrawn = activePosition >= seen.first && activePosition < seen.end;
  return (
    <div
      {...attributes}
      ref={element}
      tabIndex={0}
      aria-activedescendant={isActiveDrawn ? rowId(activePosition) : undefined}
      onScroll={(event) => setScrollTopPx(event.currentTarget.scrollTop)}
    >
      {head}
      <div role="rowgroup" class="virtual-rows" style={{ height: `${heightOf(geometry)}px` }}>
        {drawn(seen, rowPx, poolSize(viewportPx, rowPx), row)}
      </div>
    </div>
  );
}

/** The most rows a window holds: as many keys, so that what leaves on one side comes back on the other with other words. */
function poolSize(viewportPx: number, rowPx: number): number {
  return Math.ceil(viewportPx / rowPx) + 2 + 2 * overscanRows;
}

function drawn({ first, end, shiftPx }: RowWindow, rowPx: number, keys: number, row: Props["row"]): ComponentChildren[] {
  const rows: ComponentChildren[] = [];
  for (let position = first; position < end; position += 1) {
    rows.push(row(position, { key: position % keys, style: { transform: `translateY(${position * rowPx + shiftPx}px)` } }));
  }
  return rows;
}
