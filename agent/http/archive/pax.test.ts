import { describe, expect, it } from "vitest";
import { PaxRecords, toPaxTime, xattrKeyword } from "./pax.ts";

describe("PAX records", () => {
  it("count their own length, also where it gains a digit", () => {
    // The examples of POSIX pax and of GNU tar's manual: "30 mtime=1350244992.023960108\n".
    const records = new PaxRecords();
    records.addText("mtime", "1350244992.023960108");
    expect(records.toBytes().toString()).toBe("30 mtime=1350244992.023960108\n");
    for (let length = 1; length < 1200; length++) {
      const one = new PaxRecords();
      one.addText("k", "v".repeat(length));
      const bytes = one.toBytes().toString();
      expect(bytes.length).toBe(Number(bytes.split(" ")[0]));
    }
  });

  it("say that names are bytes before the first name that is not UTF-8", () => {
    const records = new PaxRecords();
    records.addName("path", "caf\xe9");
    records.addName("linkpath", "\xff");
    expect(records.toBytes().toString("latin1")).toBe("21 hdrcharset=BINARY\n13 path=caf\xe9\n14 linkpath=\xff\n");
  });

  it("tell times exactly, before 1970 too", () => {
    expect(toPaxTime({ seconds: 5, nanoseconds: 0, digits: 0 })).toBe("5");
    expect(toPaxTime({ seconds: 5, nanoseconds: 120_000_000, digits: 9 })).toBe("5.12");
    expect(toPaxTime({ seconds: -1, nanoseconds: 750_000_000, digits: 9 })).toBe("-0.25");
    expect(toPaxTime({ seconds: -2, nanoseconds: 1, digits: 9 })).toBe("-1.999999999");
    expect(toPaxTime({ seconds: -7, nanoseconds: 0, digits: 0 })).toBe("-7");
  });

  it("escape what would end a keyword", () => {
    expect(xattrKeyword("user.a=b%")).toBe("SCHILY.xattr.user.a%3Db%25");
  });
});
