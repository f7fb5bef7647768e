import { parse } from "content-disposition";
import { describe, expect, it } from "vitest";
import { textToByteString } from "../filesystems/byte-string.ts";
import { attachment, safeFileName } from "./attachment.ts";

describe("a name in Content-Disposition", () => {
  it.each([
    ["plain.txt", "plain.txt"],
    ["grüße 🐘.txt", "grüße 🐘.txt"],
    ['quo"te\\back.txt', 'quo"te_back.txt'],
    ["../../etc/passwd", ".._.._etc_passwd"],
    ["new\r\nSet-Cookie: a=b", "new__Set-Cookie: a=b"],
    ["\x00\x1b[31m\x7f", "__[31m_"],
    ["invoice\u202etxt.exe", "invoice_txt.exe"],
    ["..", "_"],
    ["", "download"],
    ["100%41.txt", "100%41.txt"],
    ["semi;colon=1", "semi;colon=1"],
  ])("%j is sent as %j", (name, expected) => {
    const header = attachment(textToByteString(name));
    expect(header).toMatch(/^attachment; filename/);
    expect(header).not.toMatch(/[^\x20-\x7e\xa0-\xff]/);
    expect(parse(header).parameters["filename"]).toBe(expected);
  });

  it("that is not UTF-8 is sent with its bytes readable", () => {
    expect(parse(attachment("caf\xe9")).parameters["filename"]).toBe("caf%E9");
  });

  it("that is too long is cut between characters and keeps its ending", () => {
    const cut = safeFileName(textToByteString(`${"🐘".repeat(100)}.tar.gz`), ".zip");
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(255);
    expect(cut).toMatch(/^🐘+\.gz\.zip$/u);
    expect(Buffer.byteLength(safeFileName("x".repeat(70_000)))).toBe(255);
  });
});
