/**
 * Browsers hold elements of some 17 (Firefox) to 33 million pixels; a folder of a million entries is
 * higher. Beyond this the scrollbar is shorter than the list, and moves over it faster.
 */
export const maxHeightPx = 12_000_000;

export interface Geometry {
  readonly count: number;
  readonly rowPx: number;
  /** What of the list can be seen. */
  readonly viewportPx: number;
}

export interface RowWindow {
  /** Rows that touch the viewport, half-open. */
  readonly first: number;
  readonly end: number;
  /** Added to `position * rowPx` gives where a row stands in the scrolled element. */
  readonly shiftPx: number;
}

/** Height of the scrolled element. */
export function heightOf({ count, rowPx }: Geometry): number {
  return Math.min(count * rowPx, maxHeightPx);
}

/** The rows that are seen at a scroll position. @param overscan rows more above and below */
export function windowAt(geometry: Geometry, scrollTopPx: number, overscan: number): RowWindow {
  const { count, rowPx, viewportPx } = geometry;
  const topPx = Math.max(0, scrollTopPx) * stretch(geometry);
  const first = Math.max(0, Math.min(count, Math.floor(topPx / rowPx) - overscan));
  const end = Math.min(count, Math.ceil((topPx + viewportPx) / rowPx) + overscan);
  return { first, end: Math.max(first, end), shiftPx: scrollTopPx - topPx };
}

/** The scroll position at which a row is seen whole: the nearest to the present one. */
export function scrollTopFor(geometry: Geometry, scrollTopPx: number, position: number): number {
  const { rowPx, viewportPx } = geometry;
  const ratio = stretch(geometry);
  const topPx = scrollTopPx * ratio;
  const rowTopPx = position * rowPx;
  if (rowTopPx < topPx) return rowTopPx / ratio;
  if (rowTopPx + rowPx > topPx + viewportPx) return Math.max(0, rowTopPx + rowPx - viewportPx) / ratio;
  return scrollTopPx;
}

/** Pixels of the list per pixel of the scrolled element: 1 unless the list is too high for a browser. */
function stretch(geometry: Geometry): number {
  const { count, rowPx, viewportPx } = geometry;
  const shownPx = heightOf(geometry) - viewportPx;
  return count * rowPx <= maxHeightPx || shownPx <= 0 ? 1 : (count * rowPx - viewportPx) / shownPx;
}
