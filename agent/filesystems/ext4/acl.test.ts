import { expect, test } from "vitest";
import { toPosixAcl } from "./acl.ts";

// Both forms as Linux 6.18 made them of `setfacl -m u:1001:rwx,g:1002:r-x`: the bytes in the inode, and getfattr -e hex.
const stored = Buffer.from("010000000100060002000700e90300000400060008000500ea0300001000070020000400", "hex");
const shown = "0200000001000600ffffffff02000700e903000004000600ffffffff08000500ea03000010000700ffffffff20000400ffffffff";

test("unpacks an access control list to the form getxattr returns", () => {
  expect(Buffer.from(toPosixAcl(stored)).toString("hex")).toBe(shown);
});

test.each([
  ["of another version", Buffer.from("02000000", "hex"), /version 2, expected 1/],
  ["with an unknown tag", Buffer.from("0100000099000600", "hex"), /tag 0x99/],
  ["that lacks an id", Buffer.from("0100000002000600", "hex"), /lacks its id/],
  ["cut in an entry", Buffer.from("010000000100", "hex"), /2 bytes are left/],
  ["cut in the header", Buffer.from("0100", "hex"), /2 bytes, expected 4/],
])("refuses a list %s", (_, bytes, message) => {
  expect(() => toPosixAcl(bytes)).toThrow(message);
});
