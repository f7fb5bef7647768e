import { describe, expect, it } from "vitest";
import { guessEncoding, inertText } from "./encoding.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const utf16 = (text: string, isLittle: boolean): Uint8Array => new Uint8Array([...text].flatMap((character) => {
  const code = character.charCodeAt(0);
  return isLittle ? [code & 255, code >> 8] : [code >> 8, code & 255];
}));

describe("the guess of a text's encoding", () => {
  it.each([
    ["nothing at all", new Uint8Array(0), "utf-8"],
    ["ASCII", ascii("127.0.0.1\tlocalhost\r\n"), "utf-8"],
    ["UTF-8", ascii("Grüße, 日本語, 🐘\n"), "utf-8"],
    ["UTF-8 with a mark", new Uint8Array([0xef, 0xbb, 0xbf, 0x41]), "utf-8"],
    ["UTF-16 with a mark", new Uint8Array([0xff, 0xfe, 0x41, 0x00]), "utf-16le"],
    ["UTF-16BE with a mark", new Uint8Array([0xfe, 0xff, 0x00, 0x41]), "utf-16be"],
    ["UTF-16LE without", utf16("[Version]\r\nname=value\r\n", true), "utf-16le"],
    ["UTF-16BE without", utf16("[Version]\r\nname=value\r\n", false), "utf-16be"],
    ["Latin-1", new Uint8Array([0x47, 0x72, 0xfc, 0xdf, 0x65, 0x0a]), "windows-1252"],
    ["a coloured log", ascii("\x1b[31merror\x1b[0m\n".repeat(20)), "utf-8"],
    ["an ELF file", new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), undefined],
    ["random bytes", Uint8Array.from({ length: 4096 }, (_, index) => (index * 197 + (index >> 3) * 31) & 255), undefined],
    ["zeros", new Uint8Array(512), undefined],
  ])("%s", (_, bytes, encoding) => {
    expect(guessEncoding(bytes, true)).toBe(encoding);
  });

  it("forgives a character that the first part of a file cuts", () => {
    const bytes = ascii("aaü").subarray(0, 3);
    expect(guessEncoding(bytes, false)).toBe("utf-8");
    expect(guessEncoding(bytes, true)).toBe("windows-1252");
  });
});

it("control and direction characters of a text are shown, not obeyed", () => {
  expect(inertText("a\r\nb\tc\x1b[31m\x00\u202etxt\u2069")).toBe("a\nb\tc\u241b[31m\u2400\\u{202e}txt\\u{2069}");
});
