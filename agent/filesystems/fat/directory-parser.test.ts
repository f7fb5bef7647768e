import { expect, test } from "vitest";
import { byteStringToText } from "../byte-string.ts";
import { DirectoryParser } from "./directory-parser.ts";
import { shortNameChecksum } from "./long-name.ts";

function short(name: string, { attributes = 0x20, caseBits = 0, cluster = 5, size = 0 } = {}): Buffer {
  const record = Buffer.alloc(32);
  record.write(name, 0, "latin1");
  record[11] = attributes;
  record[12] = caseBits;
  record.writeUInt16LE(cluster, 26);
  record.writeUInt32LE(size, 28);
  return record;
}

/** The parts of a long name for a short record, in the order in which they are stored. */
function long(name: string, owner: Buffer): Buffer[] {
  const units = [...Array(name.length).keys()].map((index) => name.charCodeAt(index));
  if (units.length % 13 !== 0) units.push(0);
  while (units.length % 13 !== 0) units.push(0xffff);
  const parts: Buffer[] = [];
  for (let part = 0; part * 13 < units.length; part += 1) {
    const record = Buffer.alloc(32);
    record[0] = part + 1;
    record[11] = 0x0f;
    record[13] = shortNameChecksum(owner, 0);
    [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].forEach((at, index) => record.writeUInt16LE(units[part * 13 + index]!, at));
    parts.unshift(record);
  }
  parts[0]![0]! |= 0x40;
  return parts;
}

function names(...records: Buffer[]): string[] {
  return new DirectoryParser(16).parse(Buffer.concat(records), 1024).map((entry) => byteStringToText(entry.name));
}

const file = short("FILE~1  TXT");

test("shows short names as Linux does: padding dropped, case by the NT flags", () => {
  expect(names(short("README  TXT"), short("README  TXT", { caseBits: 0x18 }), short("README  TXT", { caseBits: 0x08 }))).toEqual(["README.TXT", "readme.txt", "readme.TXT"]);
  expect(names(short("NOEXT      "), short("A B     C D"), short("        TXT"))).toEqual(["NOEXT", "A B.C D", ".TXT"]);
});

test("reads short names in code page 437, with 0x05 for a first 0xe5", () => {
  expect(names(short("\x8e\x99\x9a     \xe1  "))).toEqual(["ÄÖÜ.ß"]);
  expect(names(short("\x8e\x99\x9a     \xe1  ", { caseBits: 0x18 }))).toEqual(["äöü.ß"]);
  expect(names(short("\x05BC        "))).toEqual(["σBC"]);
});

test("joins long names of one to twenty parts", () => {
  for (const name of ["a", "thirteen char", "exactly twenty-six letters", "x".repeat(255), "日本語", "emoji 🍄 here"]) {
    expect(names(...long(name, file), file)).toEqual([name]);
  }
});

test("keeps names that differ only in an unpaired surrogate apart, as three bytes each", () => {
  const entries = new DirectoryParser(16).parse(Buffer.concat([...long("a\ud83c", file), file, ...long("\udf44b", file), file]), 0);
  expect(entries.map((entry) => entry.name)).toEqual(["a\xed\xa0\xbc", "\xed\xbd\x84b"]);
});

test("falls back to the short name for parts that are orphaned, out of order or of another file", () => {
  const other = short("OTHER   TXT");
  const [second, first] = long("a name of two parts", file) as [Buffer, Buffer];
  expect(names(second, first, other)).toEqual(["OTHER.TXT"]);
  expect(names(first, file)).toEqual(["FILE~1.TXT"]);
  expect(names(second, file)).toEqual(["FILE~1.TXT"]);
  expect(names(first, second, file)).toEqual(["FILE~1.TXT"]);
  expect(names(...long("lost", other), second, first, file)).toEqual(["a name of two parts"]);
});

test("joins a long name across two pieces of a directory", () => {
  const parser = new DirectoryParser(16);
  const [second, first] = long("a name of two parts", file) as [Buffer, Buffer];
  expect(parser.parse(second, 0)).toEqual([]);
  expect(parser.parse(Buffer.concat([first, file]), 32).map((entry) => entry.name)).toEqual(["a name of two parts"]);
});

test("skips deleted records, labels, . and .., and goes on behind a free record", () => {
  const deleted = short("\xe5ELETED TXT");
  const records = [short(".          ", { attributes: 0x10 }), short("..         ", { attributes: 0x10 }), deleted, short("LABEL      ", { attributes: 0x08 }), Buffer.alloc(32), file];
  expect(names(...records)).toEqual(["FILE~1.TXT"]);
});

test("lists a record whose name no path can hold, with an error and a name that can", () => {
  const entries = new DirectoryParser(16).parse(Buffer.concat([...long("../../etc/passwd", file), file, ...long("..", file), file, short("A/B        "), short("           ")]), 4096);
  expect(entries.map((entry) => entry.name)).toEqual(["FILE~1.TXT", "FILE~1.TXT", "unnamed-record-at-4256", "unnamed-record-at-4288"]);
  expect(entries.every((entry) => entry.error?.code === "corrupt")).toBe(true);
});

test("takes the high half of a cluster number only on FAT32", () => {
  const record = short("FILE    TXT", { cluster: 7 });
  record.writeUInt16LE(1, 20);
  expect(new DirectoryParser(16).parse(record, 0)[0]!.node.firstCluster).toBe(7);
  expect(new DirectoryParser(32).parse(record, 0)[0]!.node.firstCluster).toBe(65_543);
});
