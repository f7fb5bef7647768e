import { describe, expect, test } from "vitest";
import { corrupt, DiskError } from "../blocks/disk-error.ts";
import { memorySource } from "../blocks/memory-source.ts";
import type { BlockSource } from "../blocks/block-source.ts";
import { PluckError } from "../../shared/errors.ts";
import { openDisk, type OpenDisk } from "./disk.ts";
import type { ListPage, PathRequest, WalkEntry } from "./disk-reader.ts";
import { FakeFileSystem, fakeEntry, fakeFile, fakeFolder, fakeLink, type FakeNode } from "./fake-file-system.ts";
import { restOfFolder } from "./folder.ts";

const bytes = new Uint8Array(4096);

async function open(volumes: Record<string, FakeNode | DiskError | Error>): Promise<OpenDisk> {
  const sources = new Map<BlockSource, FakeNode | Error>();
  return openDisk(memorySource(bytes), {
    diskId: "test",
    scan: async () =>
      Object.entries(volumes).map(([name, root]) => {
        const source = memorySource(bytes.slice());
        sources.set(source, root);
        return { name, kind: "partition" as const, source, sizeBytes: bytes.length };
      }),
    open: async (source) => {
      const root = sources.get(source);
      if (root === undefined || root instanceof Error) throw root ?? new Error("unknown source");
      return new FakeFileSystem(root);
    },
  });
}

function at(path: string, withinDepth = 0): PathRequest {
  return { segments: path.split("/").filter((name) => name !== ""), withinDepth };
}

async function list(disk: OpenDisk, path: string, more: { recursive?: boolean; limit?: number; cursor?: string } = {}): Promise<ListPage> {
  return disk.list({ ...at(path), recursive: false, limit: 1000, ...more });
}

const names = (page: ListPage) => page.nodes.map((node) => node.path.at(-1));
const paths = (page: ListPage) => page.nodes.map((node) => node.path.join("/"));

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof PluckError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it did not fail");
}

async function text(disk: OpenDisk, path: string, withinDepth = 0): Promise<string> {
  const { size } = await disk.resolve(at(path, withinDepth));
  return Buffer.from(await new Response(disk.read({ ...at(path, withinDepth), offset: 0, length: size })).arrayBuffer()).toString("latin1");
}

describe("volumes", () => {
  test("one that can't be read is listed with why, and takes nothing from the others", async () => {
    const disk = await open({ p1: fakeFolder({ a: fakeFile() }), p2: corrupt("superblock", 1024, "magic 0"), p3: new TypeError("x is undefined") });
    expect(disk.volumes.map((volume) => [volume.name, volume.readable, volume.error?.code])).toEqual([
      ["p1", true, undefined],
      ["p2", false, "corrupt"],
      ["p3", false, "corrupt"],
    ]);
    expect(paths(await list(disk, "/"))).toEqual(["p1", "p2", "p3"]);
    expect((await list(disk, "/")).nodes[1]).toMatchObject({ type: "directory", error: { code: "corrupt", detail: "superblock at byte 1024: magic 0" } });
    expect(names(await list(disk, "/p1"))).toEqual(["a"]);
    expect(await failure(list(disk, "/p2"))).toMatchObject({ code: "corrupt" });
    expect(await failure(disk.info(at("/p2/etc")))).toMatchObject({ code: "corrupt" });
    expect(await disk.info(at("/p2"))).toMatchObject({ path: ["p2"], error: { code: "corrupt" } });
    expect(await failure(list(disk, "/p4"))).toMatchObject({ code: "path_not_found", message: expect.stringContaining("p1, p2, p3") });
  });
});

describe("paths", () => {
  const etc = fakeFolder({ hosts: fakeFile("127.0.0.1") });
  const root = fakeFolder({
    etc,
    "100%41": fakeFile("literal"),
    "A": fakeFile("unescaped"),
    "%41": fakeFile("shadowed"),
    caf: fakeFolder({ "\xe9": fakeFile("latin1 name") }),
    absolute: fakeLink("/etc/hosts"),
    relative: fakeLink("etc/../etc/./hosts"),
    above: fakeLink("../../../../etc/hosts"),
    loop: fakeLink("loop"),
    dangling: fakeLink("nowhere"),
    empty: fakeLink(""),
    "to-etc": fakeLink("etc/"),
    broken: fakeLink("etc", { readError: corrupt("symlink", 77, "no target") }),
    deep: fakeFolder({ up: fakeLink("../etc/hosts"), inside: fakeLink("./file"), file: fakeFile("deep file"), "to-root": fakeLink("/") }),
  });

  test("escapes are tried first, then the text as it stands", async () => {
    const disk = await open({ p1: root });
    expect(await text(disk, "/p1/%41")).toBe("unescaped");
    expect(await text(disk, "/p1/%2541")).toBe("shadowed");
    expect(await text(disk, "/p1/100%41")).toBe("literal");
    expect(await text(disk, "/p1/caf/%E9")).toBe("latin1 name");
  });

  test.each([
    ["absolute", "/p1/absolute"],
    ["relative, with dots", "/p1/relative"],
    ["up beyond the volume's root", "/p1/above"],
    ["through a folder link", "/p1/to-etc/hosts"],
  ])("a symlink leads to a file inside its volume: %s", async (_, path) => {
    expect(await text(await open({ p1: root }), path)).toBe("127.0.0.1");
  });

  test("info shows a symlink itself, with its target", async () => {
    const disk = await open({ p1: root });
    expect(await disk.info(at("/p1/absolute"))).toMatchObject({ type: "symlink", symlinkTarget: "/etc/hosts" });
    expect(await disk.info(at("/p1/dangling"))).toMatchObject({ type: "symlink", symlinkTarget: "nowhere" });
    expect(await disk.info(at("/p1/broken"))).toMatchObject({ type: "symlink", error: { code: "corrupt" } });
  });

  test("what is missing, what is no folder and what is damaged stay apart", async () => {
    const disk = await open({ p1: root });
    expect((await failure(disk.resolve(at("/p1/dangling")))).code).toBe("path_not_found");
    expect((await failure(disk.resolve(at("/p1/empty")))).code).toBe("path_not_found");
    expect((await failure(disk.resolve(at("/p1/etc/hosts/x")))).code).toBe("not_a_directory");
    expect((await failure(list(disk, "/p1/etc/hosts"))).code).toBe("not_a_directory");
    expect((await failure(disk.resolve(at("/p1/broken/hosts")))).code).toBe("corrupt");
    expect(await failure(disk.resolve(at("/p1/loop")))).toMatchObject({ code: "path_not_found", message: expect.stringContaining("too many symlinks") });
  });

  test("a failing read on the way stays an io_error, an unexpected throw counts as corrupt", async () => {
    const disk = await open({
      p1: fakeFolder({ a: fakeFolder({}, { readError: new DiskError("io_error", "read failed") }), b: fakeFolder({}, { readError: new RangeError("out of bounds") }) }),
    });
    expect(await failure(disk.info(at("/p1/a/x")))).toMatchObject({ code: "io_error", message: "read failed" });
    expect(await failure(disk.info(at("/p1/b/x")))).toMatchObject({ code: "corrupt", message: expect.stringContaining("/p1/b") });
    expect(await failure(list(disk, "/p1/a"))).toMatchObject({ code: "io_error" });
  });

  test("a link's grant holds against symlinks that lead out of it", async () => {
    const disk = await open({ p1: root });
    expect(await failure(disk.resolve(at("/p1/deep/up", 2)))).toMatchObject({ code: "forbidden" });
    expect(await failure(disk.info(at("/p1/deep/to-root/etc", 2)))).toMatchObject({ code: "forbidden" });
    expect(await failure(disk.list({ ...at("/p1/deep/to-root", 2), recursive: false, limit: 10 }))).toMatchObject({ code: "forbidden" });
    expect(await text(disk, "/p1/deep/inside", 2)).toBe("deep file");
    expect(await text(disk, "/p1/deep/up", 1)).toBe("127.0.0.1");
    // What is granted may be a symlink itself.
    expect(await text(disk, "/p1/to-etc/hosts", 2)).toBe("127.0.0.1");
    expect(await text(disk, "/p1/deep/up", 3)).toBe("127.0.0.1");
    expect(await disk.info(at("/p1/deep/up", 3))).toMatchObject({ type: "symlink" });
  });
});

describe("listings", () => {
  test("directories come first, then the bytes of the names", async () => {
    const disk = await open({ p1: fakeFolder({ "\xff": fakeFile(), b: fakeFile(), B: fakeFile(), z: fakeFolder(), a: fakeLink("b") }) });
    expect(names(await list(disk, "/p1"))).toEqual(["z", "B", "a", "b", "\xff"]);
    expect((await list(disk, "/p1")).nodes[2]).toMatchObject({ type: "symlink", symlinkTarget: "b" });
  });

  test("types that the folder doesn't tell are asked for before sorting", async () => {
    const folder = fakeFolder();
    folder.entries = [fakeEntry("b", fakeFile(), { type: undefined }), fakeEntry("a", fakeFile(), { type: undefined }), fakeEntry("z", fakeFolder(), { type: undefined })];
    expect(names(await list(await open({ p1: folder }), "/p1"))).toEqual(["z", "a", "b"]);
  });

  test("an entry that can't be read is listed with its error", async () => {
    const folder = fakeFolder({ good: fakeFile("x") });
    folder.entries.push(
      fakeEntry("no-inode", fakeFile("", { statError: corrupt("inode 12", 640, "checksum") })),
      fakeEntry("bad-name", fakeFile(), { error: corrupt("entry", 12, "length") }),
      fakeEntry("encrypted", fakeFile("", { contentError: new DiskError("unsupported", "encrypted") })),
    );
    const { nodes } = await list(await open({ p1: folder }), "/p1");
    expect(nodes.map((node) => [node.path[1], node.error?.code, node.size])).toEqual([
      ["bad-name", "corrupt", 0],
      ["encrypted", "unsupported", 0],
      ["good", undefined, 1],
      ["no-inode", "corrupt", undefined],
    ]);
  });

  test("a folder that breaks off shows what was read, and that something is missing", async () => {
    const folder = fakeFolder({ a: fakeFile(), b: fakeFile() }, { readError: corrupt("block 7", 7 * 4096, "checksum"), entriesBeforeError: 1 });
    const disk = await open({ p1: folder });
    const { nodes } = await list(disk, "/p1");
    expect(nodes.map((node) => node.path[1])).toEqual([restOfFolder, "a"]);
    expect(nodes[0]?.error?.code).toBe("corrupt");
    expect(await failure(disk.info(at("/p1/a/b")))).toMatchObject({ code: "corrupt" });
  });

  test("pages of any size add up to the whole, over names that repeat and over a restart", async () => {
    const folder = fakeFolder();
    for (let index = 0; index < 57; index += 1) folder.entries.push(fakeEntry(`n${(index * 7) % 19}`, index % 5 === 0 ? fakeFolder() : fakeFile()));
    const whole = await list(await open({ p1: folder }), "/p1");
    expect(whole.next).toBeUndefined();
    expect(whole.nodes).toHaveLength(57);
    for (const limit of [1, 2, 7, 56, 57]) {
      const nodes: unknown[] = [];
      let cursor: string | undefined;
      do {
        const page: ListPage = await list(await open({ p1: folder }), "/p1", { limit, ...(cursor === undefined ? {} : { cursor }) });
        nodes.push(...page.nodes);
        cursor = page.next;
      } while (cursor !== undefined);
      expect(nodes).toEqual(whole.nodes);
    }
  });

  test("later pages do not read the folder again", async () => {
    const root = fakeFolder();
    for (let index = 0; index < 100; index += 1) root.entries.push(fakeEntry(`f${index}`, fakeFile()));
    const fileSystem = new FakeFileSystem(root);
    const source = memorySource(bytes);
    const disk = await openDisk(source, {
      diskId: "x",
      scan: async () => [{ name: "p1", kind: "partition", source, sizeBytes: 1 }],
      open: async () => fileSystem,
    });
    const first = await list(disk, "/p1", { limit: 10 });
    await list(disk, "/p1", { limit: 10, cursor: first.next! });
    expect(fileSystem.calls.readDirectory).toBe(1);
  });

  test.each(["", "AAAA", "W10", "e30", Buffer.from('[[2,"a",0]]').toString("base64url")])("refuses the cursor %j", async (cursor) => {
    const disk = await open({ p1: fakeFolder({ a: fakeFile() }) });
    expect((await failure(list(disk, "/p1", { cursor }))).code).toBe("invalid_request");
  });
});

describe("recursive listings", () => {
  const inner = fakeFolder({ x: fakeFile(), y: fakeFolder({ z: fakeFile() }) });
  const tree = fakeFolder({ b: inner, a: fakeFolder(), c: fakeFile(), bad: fakeFolder({}, { readError: corrupt("block", 5, "damaged") }) });

  test("go depth first, a folder right before what it holds, and skip nothing that is damaged", async () => {
    const disk = await open({ p1: tree, p2: corrupt("superblock", 0, "x") });
    const page = await list(disk, "/p1", { recursive: true });
    expect(paths(page)).toEqual(["p1/a", "p1/b", "p1/b/y", "p1/b/y/z", "p1/b/x", "p1/bad", "p1/c"]);
    expect(page.nodes.filter((node) => node.error !== undefined).map((node) => node.path[1])).toEqual(["bad"]);
    expect(paths(await list(disk, "/", { recursive: true }))).toEqual(["p1", "p1/a", "p1/b", "p1/b/y", "p1/b/y/z", "p1/b/x", "p1/bad", "p1/c", "p2"]);
  });

  test("come in pages that add up, over a restart", async () => {
    for (const path of ["/", "/p1"]) {
      const whole = await list(await open({ p1: tree, p2: tree, p3: new Error("x") }), path, { recursive: true });
      for (const limit of [1, 2, 3, 5]) {
        const nodes: unknown[] = [];
        let cursor: string | undefined;
        do {
          const page: ListPage = await list(await open({ p1: tree, p2: tree, p3: new Error("x") }), path, { recursive: true, limit, ...(cursor === undefined ? {} : { cursor }) });
          nodes.push(...page.nodes);
          cursor = page.next;
        } while (cursor !== undefined);
        expect(nodes).toEqual(whole.nodes);
      }
    }
  });

  test("do not enter a folder that is its own ancestor", async () => {
    const root = fakeFolder({ a: fakeFolder() });
    root.entries[0]!.node.entries.push(fakeEntry("back", root), fakeEntry("self", root.entries[0]!.node));
    const disk = await open({ p1: root });
    for (const path of ["/p1", "/p1/a"]) {
      const page = await list(disk, path, { recursive: true });
      expect(page.nodes.filter((node) => node.error?.detail.includes("ancestor")).map((node) => node.path.at(-1))).toEqual(["back", "self"]);
    }
  });
});

describe("walks", () => {
  async function collect(disk: OpenDisk, path: string): Promise<{ entry: WalkEntry; data: string }[]> {
    const collected: { entry: WalkEntry; parts: Uint8Array[] }[] = [];
    for await (const item of disk.walk(at(path))) {
      if (item.kind === "entry") collected.push({ entry: item, parts: [] });
      else collected.at(-1)!.parts.push(item.bytes);
    }
    return collected.map(({ entry, parts }) => ({ entry, data: Buffer.concat(parts).toString("latin1") }));
  }

  test("give entries in listing order with their bytes, links, attributes", async () => {
    const twice = fakeFile("twice", { linkCount: 2 });
    const root = fakeFolder({
      dir: fakeFolder({ small: fakeFile("small", { xattrs: new Map([["user.a", new Uint8Array([98])]]) }), one: twice }),
      empty: fakeFile(),
      large: fakeFile("0123456789".repeat(30_000)),
      link: fakeLink("dir/small"),
      two: twice,
      none: fakeFile("", { readError: corrupt("map", 3, "x"), size: 100 }),
      big: fakeFile("", { readError: corrupt("map", 3, "x"), size: 1_000_000 }),
    });
    const items = await collect(await open({ p1: root }), "/p1");
    expect(items.map(({ entry, data }) => [entry.path.join("/"), entry.type, entry.dataLength, data.length, entry.error?.code])).toEqual([
      ["", "directory", 0, 0, undefined],
      ["dir", "directory", 0, 0, undefined],
      ["dir/one", "file", 5, 5, undefined],
      ["dir/small", "file", 5, 5, undefined],
      ["big", "file", 0, 0, "corrupt"],
      ["empty", "file", 0, 0, undefined],
      ["large", "file", 300_000, 300_000, undefined],
      ["link", "symlink", 0, 0, undefined],
      ["none", "file", 0, 0, "corrupt"],
      ["two", "file", 0, 0, undefined],
    ]);
    const byName = new Map(items.map((item) => [item.entry.path.join("/"), item]));
    expect(byName.get("two")?.entry.hardLinkOf).toEqual(["dir", "one"]);
    expect(byName.get("link")?.entry.symlinkTarget).toBe("dir/small");
    expect(byName.get("dir/small")?.entry.xattrs).toEqual([["user.a", new Uint8Array([98])]]);
    expect(byName.get("large")?.data).toBe("0123456789".repeat(30_000));
  });

  test("send a file whole although its extended attributes are damaged, and say so", async () => {
    const file = fakeFile("all of it", { xattrError: corrupt("attribute block", 4096, "checksum") });
    const [, item] = await collect(await open({ p1: fakeFolder({ file }) }), "/p1");
    expect(item).toMatchObject({ data: "all of it", entry: { xattrError: { code: "corrupt" } } });
    expect(item?.entry.error).toBeUndefined();
  });

  test("a further name of a file that can't be read is an error as well, not a link to nothing", async () => {
    const broken = fakeFile("", { linkCount: 2, readError: corrupt("map", 3, "x"), size: 100 });
    const large = fakeFile("", { linkCount: 2, readError: corrupt("map", 4, "x"), size: 1_000_000 });
    const items = await collect(await open({ p1: fakeFolder({ a: broken, b: broken, c: large, d: large }) }), "/p1");
    expect(items.slice(1).map(({ entry }) => [entry.path[0], entry.error?.code, entry.hardLinkOf])).toEqual(["a", "b", "c", "d"].map((name) => [name, "corrupt", undefined]));
    // A damaged name doesn't cost the file's other name its bytes.
    const sound = fakeFile("sound", { linkCount: 2 });
    const folder = fakeFolder();
    folder.entries = [fakeEntry("bad", sound, { error: corrupt("entry", 1, "x") }), fakeEntry("good", sound)];
    expect((await collect(await open({ p1: folder }), "/p1"))[2]).toMatchObject({ data: "sound", entry: { path: ["good"] } });
  });

  test("tell the ranges of a sparse file and send only these", async () => {
    const source = memorySource(Buffer.alloc(200_000, "d"));
    const sparse = fakeFile("", {
      extents: [
        { kind: "hole", offset: 0, length: 100_000 },
        { kind: "data", offset: 100_000, length: 5000, source, sourceOffset: 0 },
        { kind: "hole", offset: 105_000, length: 1000 },
        { kind: "data", offset: 106_000, length: 4000, source, sourceOffset: 0 },
        { kind: "hole", offset: 110_000, length: 1_000_000 },
      ],
    });
    const [, item] = await collect(await open({ p1: fakeFolder({ sparse }) }), "/p1");
    expect(item?.entry).toMatchObject({ size: 1_110_000, dataLength: 10_000, dataRanges: [{ offset: 100_000, length: 10_000 }] });
    expect(item?.data).toBe("d".repeat(5000) + "\0".repeat(1000) + "d".repeat(4000));
  });

  test("from / each readable volume is a folder, and one that can't be read an entry with its error", async () => {
    const disk = await open({ p1: fakeFolder({ a: fakeFile("1") }), p2: new DiskError("unsupported", "XFS can't be read"), p3: fakeFolder({ b: fakeFile("2") }) });
    const items = await collect(disk, "/");
    expect(items.map(({ entry, data }) => [entry.path.join("/"), entry.type, data, entry.error?.code])).toEqual([
      ["", "directory", "", undefined],
      ["p1", "directory", "", undefined],
      ["p1/a", "file", "1", undefined],
      ["p2", "directory", "", "unsupported"],
      ["p3", "directory", "", undefined],
      ["p3/b", "file", "2", undefined],
    ]);
  });

  test("break off when a file fails in the middle", async () => {
    const source = memorySource(Buffer.alloc(4096));
    const broken = fakeFile("", {
      size: 8_000_000,
      extents: [
        { kind: "hole", offset: 0, length: 7_000_000 },
        { kind: "data", offset: 7_000_000, length: 1_000_000, source, sourceOffset: 0 },
      ],
    });
    // As a plain file: its hole is data, so the failure comes after the first bytes.
    const file = fakeFile("", { size: 8_000_000, extents: [{ kind: "inline", offset: 0, length: 4_000_000, bytes: Buffer.alloc(4_000_000) }, { kind: "data", offset: 4_000_000, length: 4_000_000, source, sourceOffset: 0 }] });
    const disk = await open({ p1: fakeFolder({ file }), p2: fakeFolder({ broken }) });
    expect((await failure(collect(disk, "/p1"))).code).toBe("corrupt");
    // Here it comes before the first byte.
    expect((await collect(disk, "/p2"))[1]).toMatchObject({ entry: { error: { code: "corrupt" }, dataLength: 0 } });
  });

  test("a plain file can't be walked", async () => {
    expect((await failure(collect(await open({ p1: fakeFolder({ a: fakeFile() }) }), "/p1/a"))).code).toBe("not_a_directory");
  });
});

describe("reads", () => {
  test("every range of a file made of all kinds of extents is exact", async () => {
    const source = memorySource(Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251)));
    const file = fakeFile("", {
      extents: [
        { kind: "data", offset: 0, length: 1000, source, sourceOffset: 100 },
        { kind: "data", offset: 1000, length: 500, source, sourceOffset: 1100 },
        { kind: "hole", offset: 1500, length: 700 },
        { kind: "inline", offset: 2200, length: 300, bytes: Buffer.alloc(300, "i") },
        { kind: "decoded", offset: 2500, length: 1000, read: async () => Buffer.alloc(1000, "d") },
        { kind: "data", offset: 3500, length: 1000, source, sourceOffset: 4000 },
      ],
    });
    const expected = Buffer.concat([
      await source.read(100, 1500),
      Buffer.alloc(700),
      Buffer.alloc(300, "i"),
      Buffer.alloc(1000, "d"),
      await source.read(4000, 1000),
    ]);
    const disk = await open({ p1: fakeFolder({ file }) });
    for (const [offset, length] of [[0, 4500], [0, 0], [4500, 0], [1499, 2], [1600, 100], [2400, 300], [2600, 1], [999, 3501]] as const) {
      const read = await new Response(disk.read({ ...at("/p1/file"), offset, length })).arrayBuffer();
      expect(Buffer.from(read).equals(expected.subarray(offset, offset + length)), `${offset}+${length}`).toBe(true);
    }
    expect((await failure(new Response(disk.read({ ...at("/p1/file"), offset: 4000, length: 501 })).arrayBuffer())).code).toBe("range_not_satisfiable");
  });

  test("a map with a gap or an overrun is damage, never zeros", async () => {
    const source = memorySource(Buffer.alloc(100));
    const gap = fakeFile("", { size: 5000, extents: [{ kind: "data", offset: 0, length: 100, source, sourceOffset: 0 }] });
    const overrun = fakeFile("", { extents: [{ kind: "data", offset: 0, length: 5000, source, sourceOffset: 50 }] });
    const short = fakeFile("", { extents: [{ kind: "decoded", offset: 0, length: 5000, read: async () => Buffer.alloc(10) }] });
    const disk = await open({ p1: fakeFolder({ gap, overrun, short }) });
    for (const name of ["gap", "overrun", "short"]) expect((await failure(text(disk, `/p1/${name}`))).code, name).toBe("corrupt");
  });

  test("a cancelled read aborts what is under way", async () => {
    const signals: AbortSignal[] = [];
    const slow: BlockSource = {
      sizeBytes: 1 << 30,
      read: () => new Uint8Array(0),
      readInto: (_offset, _target, signal) => new Promise((_, reject) => {
        signals.push(signal!);
        signal!.addEventListener("abort", () => reject(signal!.reason));
      }),
      extents: async () => [],
    };
    const file = fakeFile("", { extents: [{ kind: "data", offset: 0, length: 1 << 30, source: slow, sourceOffset: 0 }] });
    const disk = await open({ p1: fakeFolder({ file }) });
    const reader = disk.read({ ...at("/p1/file"), offset: 0, length: 1 << 30 }).getReader();
    const taken = reader.read();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(signals.length).toBeGreaterThanOrEqual(4);
    expect(signals.length).toBeLessThanOrEqual(16);
    await reader.cancel();
    await taken;
    expect(signals.every((signal) => signal.aborted)).toBe(true);
  });

  test("closing the disk ends its reads as a mount that is gone", async () => {
    const disk = await open({ p1: fakeFolder({ a: fakeFile("x") }) });
    await disk.close();
    expect((await failure(disk.resolve(at("/p1/a")))).code).toBe("mount_not_found");
    expect((await failure(new Response(disk.read({ ...at("/p1/a"), offset: 0, length: 1 })).arrayBuffer())).code).toBe("mount_not_found");
  });

  test("etags differ by disk, file and version", async () => {
    const root = fakeFolder({ a: fakeFile("x"), b: fakeFile("x") });
    const disk = await open({ p1: root });
    const again = await open({ p1: root });
    expect((await disk.resolve(at("/p1/a"))).etag).toBe((await again.resolve(at("/p1/a"))).etag);
    expect((await disk.resolve(at("/p1/a"))).etag).not.toBe((await disk.resolve(at("/p1/b"))).etag);
  });
});
