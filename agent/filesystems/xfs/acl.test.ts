import { expect, test } from "vitest";
import { toPosixAcl } from "./acl.ts";

// As setfacl -m u:1001:rwx makes it, and getfattr shows it, on Linux.
test("a stored ACL is shown as getxattr gives it", () => {
  const entry = (tag: number, id: number, permissions: number) => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt32BE(tag, 0);
    bytes.writeUInt32BE(id, 4);
    bytes.writeUInt16BE(permissions, 8);
    return bytes;
  };
  const stored = Buffer.concat([
    Buffer.from([0, 0, 0, 5]), entry(1, 0, 6), entry(2, 1001, 7), entry(4, 0, 4), entry(0x10, 0, 7), entry(0x20, 0, 4),
  ]);
  const shown = "02000000" + "01000600ffffffff" + "02000700e9030000" + "04000400ffffffff" + "10000700ffffffff" + "20000400ffffffff";
  expect(Buffer.from(toPosixAcl(stored)).toString("hex")).toBe(shown);
});

test("an ACL whose count and length disagree is damage", () => {
  expect(() => toPosixAcl(Buffer.from([0, 0, 0, 2, 0, 0, 0, 1]))).toThrow("2 entries in 8 bytes");
  expect(() => toPosixAcl(Buffer.alloc(2))).toThrow("2 bytes");
});
