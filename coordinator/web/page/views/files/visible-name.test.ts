import { describe, expect, it } from "vitest";
import { entryNameParts, safeFileName, visibleParts, visibleText } from "./visible-name.ts";

describe("a name made visible", () => {
  it.each(["hosts", "with space", "Größe", "日本語", "<b>&amp;", "100%", "-rf", "emoji 🐘🗂️.txt", "👩‍🚀", "e\u0301"])("stays as it is: %j", (name) => {
    expect(visibleParts(name)).toEqual([{ text: name, isEscape: false }]);
  });

  it.each([
    ["new\nline", "new\\nline"],
    ["bell\x07\x1b[31m", "bell\\x07\\x1b[31m"],
    ["c1\x9b", "c1\\x9b"],
    ["txt.\u202eexe", "txt.\\u{202e}exe"],
    ["a\u2066b\u2069", "a\\u{2066}b\\u{2069}"],
    ["zero\u200bwidth", "zero\\u{200b}width"],
    ["join\u200ded", "join\\u{200d}ed"],
    ["\ufeffbom", "\\u{feff}bom"],
    ["nbsp\u00a0x", "nbsp\\xa0x"],
    ["tag\u{e0041}", "tag\\u{e0041}"],
    ["lone\ud800", "lone\\u{d800}"],
    ["bytes-\ufffd", "bytes-\\u{fffd}"],
    ["  ends ", "\\x20\\x20ends\\x20"],
    [" ", "\\x20"],
    ["", ""],
  ])("%j becomes %j", (name, shown) => {
    expect(visibleText(name)).toBe(shown);
  });

  it("tells an escape from a name that is spelt like one", () => {
    expect(visibleParts("a\\nb")).toEqual([{ text: "a\\nb", isEscape: false }]);
    expect(visibleParts("a\nb")).toEqual([{ text: "a", isEscape: false }, { text: "\\n", isEscape: true }, { text: "b", isEscape: false }]);
  });
});

describe("an entry's name", () => {
  const shown = (name: string, path: string): string => entryNameParts({ name, path }).map(({ text, isEscape }) => (isEscape ? `[${text}]` : text)).join("");

  it("shows the bytes of what is no UTF-8", () => {
    expect(shown("gr\ufffd\ufffde 100%.txt", "/p1/gr%FC%DFe 100%25.txt")).toBe("gr[\\xfc][\\xdf]e 100%.txt");
    expect(shown("a\n\ufffd", "/p1/a%0A%FF")).toBe("a[\\x0a][\\xff]");
  });

  it("leaves one that has U+FFFD itself, and one that is spelt like an escape", () => {
    expect(shown("x\ufffd", "/p1/x\ufffd")).toBe("x[\\u{fffd}]");
    expect(shown("100%41", "/p1/100%2541")).toBe("100%41");
  });
});

describe("a name for the user's disk", () => {
  it.each([["a/b\\c", "a_b_c"], ["..", "_"], ["new\nline", "new_line"], ["txt.\u202eexe", "txt._exe"], ["", "download"], ["x".repeat(300), "x".repeat(200)]])("%j is kept as %j", (name, safe) => {
    expect(safeFileName(name)).toBe(safe);
  });
});
