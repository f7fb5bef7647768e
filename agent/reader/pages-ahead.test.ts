import { expect, test } from "vitest";
import type { ListRequest } from "./disk-reader.ts";
import { type MadePage, PagesAhead } from "./pages-ahead.ts";

const request: ListRequest = { segments: ["p1", "many"], withinDepth: 0, recursive: false, limit: 10 };

function page(next: string | undefined, more: Partial<MadePage> = {}): MadePage {
  return { path: ["p1", "many"], entries: Buffer.from("[]"), isSound: true, ...(next === undefined ? {} : { next }), ...more };
}

/** Pages made by `make`, and the cursors it was asked for. */
function ahead(make: (asked: ListRequest) => Promise<MadePage>): { pages: PagesAhead; asked: (string | undefined)[] } {
  const asked: (string | undefined)[] = [];
  return {
    asked,
    pages: new PagesAhead(async (following) => {
      asked.push(following.cursor);
      return await make(following);
    }),
  };
}

test("the page after the one given is made once and given once", async () => {
  const { pages, asked } = ahead(async () => page("c2"));
  pages.prepare(request, page("c1"));
  pages.prepare(request, page("c1"));
  // The page before is sent first.
  expect(asked).toEqual([]);
  expect(await pages.take({ ...request, cursor: "c1" })).toMatchObject({ next: "c2" });
  expect(await pages.take({ ...request, cursor: "c1" })).toBeUndefined();
  expect(asked).toEqual(["c1"]);
});

test("another folder, limit, grant or cursor is another page", async () => {
  const { pages } = ahead(async () => page(undefined));
  pages.prepare(request, page("c1"));
  for (const other of [{ segments: ["p1"] }, { limit: 11 }, { withinDepth: 1 }, { cursor: "c2" }, { recursive: true }]) {
    expect(await pages.take({ ...request, cursor: "c1", ...other })).toBeUndefined();
  }
});

test("after the last page nothing is made", async () => {
  const { pages, asked } = ahead(async () => page(undefined));
  pages.prepare(request, page(undefined));
  await new Promise(setImmediate);
  expect(asked).toEqual([]);
});

test("a page that failed, in whole or in part, is left to whoever asks for it", async () => {
  for (const make of [async () => page("c2", { isSound: false }), async () => Promise.reject(new Error("gone"))]) {
    const { pages } = ahead(make);
    pages.prepare(request, page("c1"));
    expect(await pages.take({ ...request, cursor: "c1" })).toBeUndefined();
  }
});

test("few and small pages are kept", async () => {
  const { pages, asked } = ahead(async ({ cursor }) => page(cursor, cursor === "huge" ? { entries: new Uint8Array(9 * 1024 * 1024) } : {}));
  pages.prepare(request, page("after-huge", { entries: new Uint8Array(9 * 1024 * 1024) }));
  pages.prepare(request, page("huge"));
  expect(await pages.take({ ...request, cursor: "huge" })).toBeUndefined();
  for (let index = 0; index < 5; index += 1) pages.prepare(request, page(`c${index}`));
  expect(await pages.take({ ...request, cursor: "c0" })).toBeUndefined();
  expect(await pages.take({ ...request, cursor: "c1" })).toMatchObject({ next: "c1" });
  expect(asked).not.toContain("after-huge");
});

test("nothing is left after clear", async () => {
  const { pages } = ahead(async () => page("c2"));
  pages.prepare(request, page("c1"));
  pages.clear();
  expect(await pages.take({ ...request, cursor: "c1" })).toBeUndefined();
});
