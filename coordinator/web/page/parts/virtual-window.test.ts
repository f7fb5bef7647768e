import { describe, expect, it } from "vitest";
import { heightOf, maxHeightPx, scrollTopFor, windowAt } from "./virtual-window.ts";

const small = { count: 1000, rowPx: 28, viewportPx: 280 };
const huge = { count: 3_000_000, rowPx: 28, viewportPx: 280 };

describe("the rows of a virtual list", () => {
  it("are those that touch the viewport", () => {
    expect(windowAt(small, 0, 0)).toEqual({ first: 0, end: 10, shiftPx: 0 });
    expect(windowAt(small, 14, 0)).toEqual({ first: 0, end: 11, shiftPx: 0 });
    expect(windowAt(small, 280, 2)).toEqual({ first: 8, end: 22, shiftPx: 0 });
  });

  it("end where the list ends, also when it was scrolled further", () => {
    expect(windowAt(small, 1000 * 28 - 280, 5)).toEqual({ first: 985, end: 1000, shiftPx: 0 });
    expect(windowAt({ ...small, count: 3 }, 5000, 5)).toMatchObject({ first: 3, end: 3 });
    expect(windowAt({ ...small, count: 0 }, 0, 5)).toMatchObject({ first: 0, end: 0 });
  });

  it("reach to the last one of a list that no browser could hold", () => {
    expect(heightOf(huge)).toBe(maxHeightPx);
    const bottom = windowAt(huge, maxHeightPx - 280, 0);
    expect(bottom.end).toBe(3_000_000);
    // The last row stands at the very end of the scrolled element.
    expect(2_999_999 * 28 + bottom.shiftPx + 28).toBeCloseTo(maxHeightPx, 3);
  });
});

describe("scrolling to a row", () => {
  it("moves no further than needed", () => {
    expect(scrollTopFor(small, 280, 12)).toBe(280);
    expect(scrollTopFor(small, 280, 3)).toBe(84);
    expect(scrollTopFor(small, 280, 30)).toBe(30 * 28 + 28 - 280);
  });

  it.each([0, 1, 77_777, 1_500_000, 2_999_999])("shows row %d of a huge list", (position) => {
    const { first, end } = windowAt(huge, scrollTopFor(huge, 1_000_000, position), 0);
    expect(position).toBeGreaterThanOrEqual(first);
    expect(position).toBeLessThan(end);
  });
});
