import { describe, expect, it } from "vitest";
import { Failure } from "../output/failure.ts";
import { formatRemote, parseRemote, type Remote } from "./remote.ts";

const remote = (vm: string, point?: string, index?: number | "none", path = "/"): Remote => ({
  vm,
  point,
  disk: index === undefined ? undefined : { index: index === "none" ? undefined : index, path },
});

describe("remote names", () => {
  it.each<[string, Remote]>([
    ["pgtest1", remote("pgtest1")],
    ["pgtest1:", remote("pgtest1", undefined, "none")],
    ["pgtest1:0", remote("pgtest1", undefined, 0)],
    ["pgtest1:0/", remote("pgtest1", undefined, 0)],
    ["pgtest1:/p2/etc", remote("pgtest1", undefined, 0, "/p2/etc")],
    ["pgtest1:12/p2/etc/hosts", remote("pgtest1", undefined, 12, "/p2/etc/hosts")],
    ["pgtest1@latest:0/p2", remote("pgtest1", "latest", 0, "/p2")],
    ["pgtest1@-2:1/disk/", remote("pgtest1", "-2", 1, "/disk")],
    ["pgtest1@2025-10-08T18\\:30:0", remote("pgtest1", "2025-10-08T18:30", 0)],
    ["pgtest1@backup-pgtest1-1759947871", remote("pgtest1", "backup-pgtest1-1759947871")],
    ["my vm (old):0/p1/with space/ä@b:c", remote("my vm (old)", undefined, 0, "/p1/with space/ä@b:c")],
    ["mail\\@example\\:25@-1:0/p1", remote("mail@example:25", "-1", 0, "/p1")],
    ["back\\\\slash:0/p1/a\\b", remote("back\\slash", undefined, 0, "/p1/a\\b")],
    ["vm:0/p2/latin1-gr%FC%DFe.txt", remote("vm", undefined, 0, "/p2/latin1-gr%FC%DFe.txt")],
    ["vm:0/p2/..hidden/...", remote("vm", undefined, 0, "/p2/..hidden/...")],
  ])("reads %s", (text, expected) => {
    expect(parseRemote(text)).toEqual(expected);
  });

  it.each<[string, { vm?: string; backup?: string }, Remote]>([
    ["@-1:0/p2", { vm: "a@b:c" }, remote("a@b:c", "-1", 0, "/p2")],
    ["0/p2", { vm: "a@b:c" }, remote("a@b:c", undefined, 0, "/p2")],
    [":0/p2", { vm: "x" }, remote("x", undefined, 0, "/p2")],
    ["", { vm: "x" }, remote("x")],
    ["@2025-10-08", { vm: "x" }, remote("x", "2025-10-08")],
    ["0/p2/a:b", { backup: "b-1" }, remote("", "b-1", 0, "/p2/a:b")],
    [":", { backup: "b-1" }, remote("", "b-1", "none")],
    ["1/disk", { vm: "x", backup: "b-1" }, remote("x", "b-1", 1, "/disk")],
  ])("reads %j after %j", (text, context, expected) => {
    expect(parseRemote(text, context)).toEqual(expected);
  });

  it.each(["", ":0/p2", "@latest:0", "vm@:0", "vm@", "vm:x", "vm:256", "vm:-1/p", "vm:0x1/p", "vm\\", "vm:0/p2/../etc", "vm:0/./p2", "vm: 0/p2"])("refuses %j and says what a name looks like", (text) => {
    expect(() => parseRemote(text)).toThrow(Failure);
    try {
      parseRemote(text);
    } catch (error) {
      expect(error).toMatchObject({ code: "usage", exitCode: 2 });
      expect((error as Failure).advice).toContain("VM[@point]:disk/path");
    }
  });

  it("gives back every name it wrote", () => {
    const alphabet = ["a", "@", ":", "\\", " ", "ü", "-", "1", "."];
    let state = 20251008;
    const next = (bound: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 8) % bound;
    };
    const word = (): string => Array.from({ length: 1 + next(6) }, () => alphabet[next(alphabet.length)]).join("");
    for (let round = 0; round < 2000; round += 1) {
      const one = remote(word(), next(2) === 0 ? undefined : word(), ([undefined, "none", 0, 7] as const)[next(4)]);
      const path = one.disk?.index === undefined ? "/" : `/p1/${word().replaceAll("/", "")}x`;
      const whole = one.disk === undefined ? one : { ...one, disk: { ...one.disk, path } };
      expect(parseRemote(formatRemote(whole)), formatRemote(whole)).toEqual(whole);
    }
  });
});
