import { describe, expect, it } from "vitest";
import { escapeBytes, escapeSentence, escapeText } from "./escape.ts";

describe("names on a terminal", () => {
  it.each([
    ["plain name.txt", "plain name.txt"],
    ["ünïcödé-日本語-🎉", "ünïcödé-日本語-🎉"],
    ["a\nb\tc\r", "a\\nb\\tc\\r"],
    ["\x1b[2J\x1b]0;title\x07", "\\e[2J\\e]0;title\\x07"],
    ["\u009b31m", "\\u{9b}31m"],
    ["gpj.\u202eexe", "gpj.\\u{202e}exe"],
    ["zero\u200bwidth\ufeff", "zero\\u{200b}width\\u{feff}"],
    ["line\u2028para\u2029", "line\\u{2028}para\\u{2029}"],
    ["tag\u{e0041}", "tag\\u{e0041}"],
    ["back\\slash", "back\\\\slash"],
    ["\x7f\x00", "\\x7f\\x00"],
  ])("%j is shown as %s", (name, shown) => {
    expect(escapeText(name)).toBe(shown);
    expect(escapeBytes(Buffer.from(name))).toBe(shown);
  });

  it("shows bytes that are not UTF-8, and the text around them", () => {
    expect(escapeBytes(Buffer.from([0x67, 0x72, 0xfc, 0xdf, 0x65]))).toBe("gr\\xfc\\xdfe");
    expect(escapeBytes(Buffer.concat([Buffer.from("日"), Buffer.from([0xff]), Buffer.from("\n\ufffd")]))).toBe("日\\xff\\n\ufffd");
    // A surrogate, an overlong slash, a cut-off character.
    expect(escapeBytes(Buffer.from([0xed, 0xa0, 0x80]))).toBe("\\xed\\xa0\\x80");
    expect(escapeBytes(Buffer.from([0xc0, 0xaf, 0xe2, 0x82]))).toBe("\\xc0\\xaf\\xe2\\x82");
  });

  it("two names that differ never look the same", () => {
    const names = ["a\\nb", "a\nb", "a\\\\nb", "\\x1b", "\x1b", "\\e", "\\u{202e}", "\u202e"];
    expect(new Set(names.map(escapeText)).size).toBe(names.length);
  });

  it("lets nothing but printable characters through, whatever the bytes", () => {
    for (let first = 0; first < 256; first += 1) {
      for (const rest of [[], [0x80], [0x9b, 0x41], [0x80, 0xae], [0xa0, 0x81, 0x81]]) {
        expect(escapeBytes(Buffer.from([first, ...rest]))).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      }
    }
  });

  it("keeps sentences on one line and readable", () => {
    expect(escapeSentence("C:\\Users is\nnot \x1b[1mhere")).toBe("C:\\Users is\\nnot \\e[1mhere");
  });
});
