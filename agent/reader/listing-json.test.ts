import { expect, test } from "vitest";
import { entrySchema } from "../../shared/api.ts";
import { DiskError } from "../blocks/disk-error.ts";
import { memorySource } from "../blocks/memory-source.ts";
import { openDisk, type OpenDisk } from "./disk.ts";
import type { JsonPage, ListRequest } from "./disk-reader.ts";
import { toEntry } from "./entry.ts";
import { FakeFileSystem, fakeEntry, fakeFile, fakeFolder, fakeLink, type FakeNode } from "./fake-file-system.ts";

async function open(root: FakeNode): Promise<OpenDisk> {
  const source = memorySource(new Uint8Array(4096));
  return openDisk(source, {
    diskId: "test",
    scan: async () => [{ name: "p1", kind: "partition" as const, source, sizeBytes: 4096 }],
    open: async () => new FakeFileSystem(root),
  });
}

function request(path: string, more: Partial<ListRequest> = {}): ListRequest {
  return { segments: path.split("/").filter((name) => name !== ""), withinDepth: 0, recursive: false, limit: 1000, ...more };
}

function parse(page: JsonPage): unknown[] {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(page.entries)) as unknown[];
}

/** All that a folder can hold which JSON, a path or an attribute could stumble over. */
function oddFolder(): FakeNode {
  const names = ["plain.txt", 'quo"te', "back\\slash", "100%41", "tab\there", "\x01\x7f", "sp ace", "caf\xc3\xa9", "latin\xe9", "\xed\xa0\x80", "\xe2\x80\xa8", "</script>", "'&?#+"];
  const folder = fakeFolder(Object.fromEntries(names.map((name) => [name, fakeFile(name)])));
  folder.entries.push(
    fakeEntry("folder", fakeFolder({ inner: fakeFile() })),
    fakeEntry("fo\xe9lder %20", fakeFolder({ inner: fakeFile(), "in%ner": fakeFile() })),
    fakeEntry("link", fakeLink("caf\xc3\xa9/\xff")),
    fakeEntry("dead link", fakeLink("x", { readError: new DiskError("io_error", "the storage failed") })),
    fakeEntry("large", fakeFile("", { size: 2n ** 60n })),
    fakeEntry("exact", fakeFile("", { size: 2n ** 40n })),
    fakeEntry("locked", fakeFile("", { contentError: new DiskError("unsupported", "encrypted") })),
    fakeEntry("bad entry", fakeFile(), { error: new DiskError("corrupt", "checksum") }),
    fakeEntry("no attributes", fakeFile("", { statError: new DiskError("io_error", "the storage failed") })),
    fakeEntry("untyped", fakeFile(), { type: undefined }),
    fakeEntry("twice", fakeFile("1")),
    fakeEntry("twice", fakeFile("22")),
  );
  return folder;
}

test.each([
  ["/", false],
  ["/p1", false],
  ["/p1/odd", false],
  ["/p1/odd/fo%E9lder %2520", false],
  ["/p1", true],
])("%s (recursive: %s): the text is that of the entries one by one, in pages of any size", async (path, recursive) => {
  const root = fakeFolder({ odd: oddFolder(), empty: fakeFolder() });
  const { nodes } = await (await open(root)).list(request(path, { recursive }));
  const expected = nodes.map((node) => JSON.parse(JSON.stringify(toEntry(node))) as unknown);
  expect(expected.length).toBeGreaterThan(0);
  for (const limit of [1, 3, 1000]) {
    const disk = await open(root);
    const entries: unknown[] = [];
    let cursor: string | undefined;
    do {
      const page: JsonPage = await disk.listJson(request(path, { recursive, limit, ...(cursor === undefined ? {} : { cursor }) }));
      entries.push(...parse(page));
      cursor = page.next;
      // The next page is prepared meanwhile, or not yet: either way it is the same.
      if (entries.length % 2 === 0) await new Promise(setImmediate);
    } while (cursor !== undefined);
    expect(entries).toEqual(expected);
    for (const entry of entries) entrySchema.parse(entry);
  }
});

test("an entry says its name, its exact path and its attributes", async () => {
  const disk = await open(fakeFolder({ "a b": fakeFolder({ 'x"1': fakeFile("four"), "y.txt": fakeFile("four") }) }));
  const page = await disk.listJson(request("/p1/a b"));
  const its = '"type":"file","size":4,"mode":"0644","uid":1000,"gid":100,"modified_at":"2023-11-14T22:13:20.123000000Z"';
  expect(Buffer.from(page.entries).toString()).toBe(`[{"name":"x\\"1","path":"/p1/a b/x\\"1",${its}},{"name":"y.txt","path":"/p1/a b/y.txt",${its}}]`);
});

test("an empty folder is an empty array", async () => {
  expect(parse(await (await open(fakeFolder())).listJson(request("/p1")))).toEqual([]);
});

test("a read that failed is tried again by the next listing, prepared or not", async () => {
  const broken = fakeFile("x", { statError: new DiskError("io_error", "the storage failed") });
  const disk = await open(fakeFolder({ a: fakeFile(), b: broken }));
  const first = await disk.listJson(request("/p1", { limit: 1 }));
  await new Promise(setImmediate);
  delete broken.statError;
  expect(parse(await disk.listJson(request("/p1", { limit: 1, cursor: first.next ?? "" })))).toMatchObject([{ name: "b", size: 1 }]);
});

test("a page that would take too much memory asks for a smaller one", async () => {
  const names = Array.from({ length: 10_000 }, (_, index) => "\xff".repeat(250) + String(index).padStart(5, "0"));
  let folder = fakeFolder(Object.fromEntries(names.map((name) => [name, fakeFile()])));
  for (let depth = 0; depth < 12; depth += 1) folder = fakeFolder({ ["\xff".repeat(255)]: folder });
  const path = `/p1${`/${"%FF".repeat(255)}`.repeat(12)}`;
  const disk = await open(folder);
  await expect(disk.listJson(request(path, { limit: 10_000 }))).rejects.toMatchObject({ code: "invalid_request", message: expect.stringContaining("limit=") });
  expect(parse(await disk.listJson(request(path, { limit: 100 })))).toHaveLength(100);
});
