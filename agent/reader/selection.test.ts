import { describe, expect, test } from "vitest";
import { corrupt, type DiskError } from "../blocks/disk-error.ts";
import type { BlockSource } from "../blocks/block-source.ts";
import { memorySource } from "../blocks/memory-source.ts";
import { PluckError } from "../../shared/errors.ts";
import { openDisk, type OpenDisk } from "./disk.ts";
import { FakeFileSystem, fakeEntry, fakeFile, fakeFolder, fakeLink, type FakeNode } from "./fake-file-system.ts";

async function open(volumes: Record<string, FakeNode | DiskError>): Promise<OpenDisk> {
  const sources = new Map<BlockSource, FakeNode | DiskError>();
  return openDisk(memorySource(new Uint8Array(4096)), {
    diskId: "test",
    scan: async () =>
      Object.entries(volumes).map(([name, root]) => {
        const source = memorySource(new Uint8Array(4096));
        sources.set(source, root);
        return { name, kind: "partition" as const, source, sizeBytes: 4096 };
      }),
    open: async (source) => {
      const root = sources.get(source);
      if (root === undefined || root instanceof Error) throw root ?? new Error("unknown source");
      return new FakeFileSystem(root);
    },
  });
}

const split = (path: string): string[] => path.split("/").filter((name) => name !== "");
const select = async (disk: OpenDisk, ...paths: string[]) => await disk.select(paths.map(split));
const joined = (nodes: readonly { path: readonly string[] }[]): string[] => nodes.map(({ path }) => `/${path.join("/")}`);

/** What an archive of these would hold, a line each: path, and contents, link, or what is wrong. */
async function walked(disk: OpenDisk, ...paths: string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const item of disk.walkSelection((await select(disk, ...paths)).map(({ path }) => path))) {
    if (item.kind === "data") found.push(`${found.pop() ?? ""}${Buffer.from(item.bytes).toString()}`);
    else {
      const what = item.error?.code ?? item.symlinkTarget ?? item.hardLinkOf?.join("/") ?? "";
      found.push(`/${item.path.join("/")} ${item.hardLinkOf === undefined ? "" : "= "}${what}`);
    }
  }
  return found;
}

const tree = (): FakeNode => {
  const twice = fakeFile("same", { linkCount: 2 });
  return fakeFolder({
    etc: fakeFolder({ hosts: fakeFile("h"), "hosts.link": fakeLink("hosts"), "a-first": twice }),
    "etc-2": fakeFolder({ x: fakeFile("x") }),
    config: fakeLink("etc"),
    z: fakeFolder({ again: twice }),
  });
};

describe("a selection", () => {
  test("has each entry once, those of a folder together, in the order of a walk", async () => {
    const disk = await open({ p1: tree() });
    expect(joined(await select(disk, "/p1/z/again", "/p1/etc-2", "/p1/etc/hosts", "/p1/etc", "/p1/etc-2/x", "/p1/etc", "/p1/config/hosts"))).toEqual(["/p1/etc", "/p1/etc-2", "/p1/z/again"]);
    expect(joined(await select(disk, "/", "/p1/etc", "/"))).toEqual(["/"]);
    expect(joined(await select(disk, "/p1/etc", "/p1"))).toEqual(["/p1"]);
  });

  test("takes entries themselves: a symlink is one, the folders on the way to it are followed", async () => {
    const disk = await open({ p1: tree() });
    expect(await select(disk, "/p1/config", "/p1/config/hosts.link")).toEqual([
      { path: ["p1", "config"], type: "symlink" },
      { path: ["p1", "etc", "hosts.link"], type: "symlink" },
    ]);
    expect(await walked(disk, "/p1/config", "/p1/config/hosts.link", "/p1/config/hosts")).toEqual(["/p1/config etc", "/p1/etc/hosts h", "/p1/etc/hosts.link hosts"]);
  });

  test("knows the hard links among its items", async () => {
    const disk = await open({ p1: tree() });
    expect(await walked(disk, "/p1/z/again", "/p1/etc/a-first", "/p1/etc-2")).toEqual(["/p1/etc/a-first same", "/p1/etc-2 ", "/p1/etc-2/x x", "/p1/z/again = p1/etc/a-first"]);
  });

  test("of everything has each volume once, and the guest's own tree only where it was asked for", async () => {
    const guest = fakeFolder({ etc: fakeFolder({ fstab: fakeFile("/dev/disk/by-uuid/0001 / ext4 defaults 0 1\n") }) });
    const disk = await open({ p1: guest });
    expect((await disk.list({ segments: [], withinDepth: 0, recursive: false, limit: 10 })).nodes.map(({ path }) => path)).toEqual([["p1"], ["guest"]]);
    expect(joined(await select(disk, "/guest/etc/fstab", "/", "/p1/etc"))).toEqual(["/", "/guest/etc/fstab"]);
    expect((await walked(disk, "/")).map((line) => line.split(" ")[0])).toEqual(["/p1", "/p1/etc", "/p1/etc/fstab"]);
    expect((await walked(disk, "/guest", "/p1/etc")).map((line) => line.split(" ")[0])).toEqual(["/guest", "/guest/etc", "/guest/etc/fstab", "/p1/etc", "/p1/etc/fstab"]);
  });

  test("names the first that is not there", async () => {
    const disk = await open({ p1: tree() });
    for (const [paths, code] of [[["/p1/etc/hosts", "/p1/none"], "path_not_found"], [["/p2"], "path_not_found"], [["/p1/etc/hosts/x"], "not_a_directory"]] as const) {
      const error = await select(disk, ...paths).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(PluckError);
      expect(error).toMatchObject({ code });
    }
  });

  test("tells beforehand what can't be read, and gives the rest", async () => {
    const damaged = corrupt("inode", 4096, "bad checksum");
    const disk = await open({
      p1: fakeFolder({}, {
        entries: [
          fakeEntry("bad", fakeFile("", { contentError: damaged })),
          fakeEntry("closed", fakeFolder({}, { readError: damaged })),
          fakeEntry("good", fakeFile("g")),
        ],
      }),
      p2: damaged,
    });
    expect((await select(disk, "/p1/bad", "/p1/good", "/p1/closed", "/p2")).map(({ path, error }) => [path.join("/"), error?.code])).toEqual([
      ["p1/bad", "corrupt"], ["p1/closed", undefined], ["p1/good", undefined], ["p2", "corrupt"],
    ]);
    expect(await walked(disk, "/p1/bad", "/p1/good", "/p1/closed", "/p2")).toEqual(["/p1/bad corrupt", "/p1/closed corrupt", "/p1/good g", "/p2 corrupt"]);
  });
});
