import { describe, expect, it } from "vitest";
import { forBash, splitLine } from "./line.ts";

describe("the line that bash gives", () => {
  it.each([
    ["pluck ls pgtest1:0/p2/e", ["pluck", "ls"], "pgtest1:0/p2/e", ""],
    ["pluck ls ", ["pluck", "ls"], "", ""],
    ["pluck get a\\ b:0/ c:0/My\\ Do", ["pluck", "get", "a b:0/"], "c:0/My Do", ""],
    ['pluck get "c:0/My Do', ["pluck", "get"], "c:0/My Do", '"'],
    ["pluck get 'c:0/it", ["pluck", "get"], "c:0/it", "'"],
    ["pluck  get\t''  -o x", ["pluck", "get", "", "-o"], "x", ""],
  ])("%j", (line, words, current, quote) => {
    expect(splitLine(line)).toEqual({ words, current, quote });
  });

  it("gets candidates without what it keeps, quoted as it quotes", () => {
    const at = (line: string): ReturnType<typeof splitLine> => splitLine(line);
    expect(forBash("pgtest1:0/p2/etc/", at("pluck ls pgtest1:0/p2/e"))).toBe("0/p2/etc/");
    expect(forBash("pgtest1@-1:", at("pluck ls pgtest1@"))).toBe("@-1:");
    expect(forBash("pgtest1@2025-10-08:", at("pluck ls pgtest1@2025"))).toBe("@2025-10-08:");
    expect(forBash("pgtest1@2025-10-08:0/", at("pluck ls pgtest1@2025-10-08:"))).toBe("0/");
    expect(forBash("vm:0/with space/$(x)&'", at("pluck ls vm:0/w"))).toBe("0/with\\ space/\\$\\(x\\)\\&\\'");
    expect(forBash("vm:0/with space/$", at('pluck ls "vm:0/w'))).toBe("vm:0/with space/\\$");
    expect(forBash("vm:0/it's", at("pluck ls 'vm:0/i"))).toBe("vm:0/it'\\''s");
    expect(forBash("vm:0/ünï", at("pluck ls vm:0/"))).toBe("0/ünï");
  });
});
