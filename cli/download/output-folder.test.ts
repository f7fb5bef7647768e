import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { assertGuestName, OutputFolder } from "./output-folder.ts";
import { PartFile } from "./part-file.ts";

let folder: string;
let output: OutputFolder;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-output-"));
  output = await OutputFolder.openTop(join(folder, "out"));
});

afterEach(async () => {
  await output.close();
  await rm(folder, { recursive: true, force: true });
});

const name = (text: string): Buffer => Buffer.from(text, "latin1");

describe("the output folder", () => {
  it.each(["", ".", "..", "a/b", "/etc", "../x", "a\0b"])("has no place for the name %j", async (text) => {
    expect(() => output.at(name(text))).toThrow(expect.objectContaining({ code: "unsafe_name" }) as Error);
    await expect(output.openSub(name(text))).rejects.toMatchObject({ code: "unsafe_name" });
    expect(await readdir(join(folder))).toEqual(["out"]);
  });

  it.each(["..hidden", "-rf", "a\nb", "\xff\xfe", "back\\slash", " ", "...", "~", "$(x)"])("holds the name %j as it is", async (text) => {
    await output.within([name("sub"), name(text)], async (sub) => {
      expect((await sub.handle.stat()).isDirectory()).toBe(true);
    });
    expect(await readdir(join(folder, "out/sub"), { encoding: "buffer" })).toEqual([name(text)]);
  });

  it.each([".x.pluck-part", ".x.pluck-part.etag"])("takes a guest's %s for none of its partial files", (text) => {
    expect(() => assertGuestName(name(text))).toThrow(expect.objectContaining({ code: "unsafe_name" }) as Error);
    expect(() => assertGuestName(name(text.slice(1)))).not.toThrow();
  });

  it("goes through no symlink, wherever it leads", async () => {
    await mkdir(join(folder, "elsewhere"));
    for (const [index, target] of ["../elsewhere", join(folder, "elsewhere"), ".", "nowhere", "loop"].entries()) {
      const link = index === 4 ? "loop" : `link-${index}`;
      await symlink(target, join(folder, "out", link));
      await expect(output.within([name(link), name("x")], async () => undefined)).rejects.toMatchObject({ code: "file_exists" });
    }
    expect(await readdir(join(folder, "elsewhere"))).toEqual([]);
  });

  it("says so where a file has the name of a folder", async () => {
    await writeFile(join(folder, "out/etc"), "");
    await expect(output.openSub(name("etc"))).rejects.toThrow(/out\/etc is no folder, and in the way/);
  });

  it("stays where it was opened when somebody changes the tree", async () => {
    await output.within([name("a")], async (sub) => {
      await rm(join(folder, "out/a"), { recursive: true });
      await mkdir(join(folder, "elsewhere"));
      await symlink("../elsewhere", join(folder, "out/a"));
      const part = await PartFile.open(sub, name("file"));
      await expect(part.restart('"v1"')).rejects.toThrow();
      await part.close();
    });
    expect(await readdir(join(folder, "elsewhere"))).toEqual([]);
  });

  it("names a folder that the filesystem can't hold", async () => {
    await expect(output.openSub(name("x".repeat(256)))).rejects.toMatchObject({ code: "not_representable" });
  });
});

describe("a partial file", () => {
  const finish = { setAttributes: async () => undefined, onReplace: () => undefined, force: false };

  it("is found again with its version, by another process", async () => {
    const first = await PartFile.open(output, name("data"));
    expect([first.lengthBytes, first.etag]).toEqual([0, undefined]);
    await first.restart('"v1"');
    await first.append(Buffer.from("hello "));
    await first.flush();
    await first.close();
    const again = await PartFile.open(output, name("data"));
    expect([again.lengthBytes, again.etag]).toEqual([6, '"v1"']);
    await again.append(Buffer.from("world"));
    await again.finish(finish);
    await again.close();
    expect(await readFile(join(folder, "out/data"), "utf8")).toBe("hello world");
    expect(await readdir(join(folder, "out"))).toEqual(["data"]);
  });

  it("begins empty for another version", async () => {
    const part = await PartFile.open(output, name("data"));
    await part.restart('"v1"');
    await part.append(Buffer.from("old"));
    await part.restart('"v2"');
    expect(part.lengthBytes).toBe(0);
    await part.append(Buffer.from("n"));
    await part.finish(finish);
    await part.close();
    expect(await readFile(join(folder, "out/data"), "utf8")).toBe("n");
  });

  it("never takes the place of another file, unless it is told to", async () => {
    await writeFile(join(folder, "out/data"), "mine");
    const part = await PartFile.open(output, name("data"));
    await part.restart('"v1"');
    await part.append(Buffer.from("theirs"));
    await expect(part.finish(finish)).rejects.toMatchObject({ code: "file_exists" });
    expect(await readFile(join(folder, "out/data"), "utf8")).toBe("mine");
    await part.finish({ ...finish, force: true });
    await part.close();
    expect(await readFile(join(folder, "out/data"), "utf8")).toBe("theirs");
  });

  it("replaces a symlink of its name, and writes through none", async () => {
    await writeFile(join(folder, "victim"), "victim");
    for (const link of ["data", ".data.pluck-part", ".data.pluck-part.etag"]) await symlink("../victim", join(folder, "out", link));
    const part = await PartFile.open(output, name("data"));
    expect(part.lengthBytes).toBe(0);
    await part.restart('"v1"');
    await part.append(Buffer.from("new"));
    await part.finish({ ...finish, force: true });
    await part.close();
    expect(await readFile(join(folder, "victim"), "utf8")).toBe("victim");
    expect(await readFile(join(folder, "out/data"), "utf8")).toBe("new");
  });

  it("is not resumed without its version, or with a damaged note of it", async () => {
    for (const etag of [undefined, "", '"v1', "x".repeat(1000)]) {
      await writeFile(join(folder, "out/.data.pluck-part"), "bytes of who knows what");
      if (etag !== undefined) await writeFile(join(folder, "out/.data.pluck-part.etag"), etag);
      const part = await PartFile.open(output, name("data"));
      expect([part.lengthBytes, part.etag]).toEqual([0, undefined]);
      await part.close();
    }
  });

  it("has a name also where the file's own is as long as names can be", async () => {
    const long = "ä".repeat(127) + "x";
    const part = await PartFile.open(output, Buffer.from(long));
    await part.restart('"v1"');
    await part.append(Buffer.from("long"));
    await part.finish(finish);
    await part.close();
    expect(await readdir(join(folder, "out"))).toEqual([long]);
  });

  it("gives way when another took its place", async () => {
    const one = await PartFile.open(output, name("data"));
    await one.restart('"v1"');
    const other = await PartFile.open(output, name("data"));
    await other.restart('"v2"');
    await one.append(Buffer.from("one"));
    await expect(one.finish(finish)).rejects.toThrow(/Another pluck/);
    await other.append(Buffer.from("other"));
    await other.finish(finish);
    await one.close();
    await other.close();
    expect(await readFile(join(folder, "out/data"), "utf8")).toBe("other");
  });
});

describe("holes", () => {
  const kib = 1024;

  it("are left where zeros are long, and the bytes are the same", async () => {
    const whole = Buffer.alloc(4096 * kib);
    whole.write("begin", 0);
    whole.fill(1, 1000 * kib, 1001 * kib);
    whole.write("inside", 2500 * kib + 17);
    for (const [file, pieceBytes] of [["big", 4096 * kib], ["odd", 61_357], ["small", 1000]] as const) {
      const part = await PartFile.open(output, name(file));
      await part.restart('"v1"');
      for (let at = 0; at < whole.length; at += pieceBytes) await part.append(whole.subarray(at, at + pieceBytes));
      await part.finish({ setAttributes: async () => undefined, onReplace: () => undefined, force: false });
      await part.close();
      expect((await readFile(join(folder, "out", file))).equals(whole), file).toBe(true);
      expect((await stat(join(folder, "out", file))).blocks * 512, file).toBeLessThan(300 * kib);
    }
  });

  it("keep their place across an interruption inside one", async () => {
    const whole = Buffer.concat([Buffer.from("head"), Buffer.alloc(700 * kib), Buffer.from("tail")]);
    for (const cutBytes of [4, 100 * kib + 3, 700 * kib, whole.length - 2]) {
      const file = `cut-${cutBytes}`;
      const first = await PartFile.open(output, name(file));
      await first.restart('"v1"');
      await first.append(whole.subarray(0, cutBytes));
      await first.flush();
      await first.close();
      const again = await PartFile.open(output, name(file));
      expect(again.lengthBytes).toBe(cutBytes);
      await again.append(whole.subarray(cutBytes));
      await again.finish({ setAttributes: async () => undefined, onReplace: () => undefined, force: false });
      await again.close();
      expect((await readFile(join(folder, "out", file))).equals(whole), file).toBe(true);
    }
  });
});
