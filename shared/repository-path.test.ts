import { posix } from "node:path";
import { describe, expect, it } from "vitest";
import { toPlainPath } from "./repository-path.ts";

describe("a path in a repository", () => {
  it.each([
    ["vm/disk-0/a.qcow2", "vm/disk-0/a.qcow2"],
    ["vm//disk-0///a.qcow2", "vm/disk-0/a.qcow2"],
    ["./vm/./disk-0/a.qcow2", "vm/disk-0/a.qcow2"],
    ["vm/x/../disk-0/a.qcow2", "vm/disk-0/a.qcow2"],
    ["vm/disk-0/a.qcow2/", "vm/disk-0/a.qcow2"],
    ["../a.qcow2", "../a.qcow2"],
    ["vm/../../a.qcow2", "../a.qcow2"],
    ["../../a.qcow2", "../../a.qcow2"],
    ["/backup//vm/./a.qcow2", "/backup/vm/a.qcow2"],
    ["/../a.qcow2", "/a.qcow2"],
    ["..a/.b/c..", "..a/.b/c.."],
  ])("%s is %s", (path, plain) => {
    expect(toPlainPath(path)).toBe(plain);
    // What POSIX says of it.
    expect(plain).toBe(posix.normalize(path).replace(/(?<=.)\/$/, ""));
    expect(toPlainPath(plain)).toBe(plain);
  });
});
