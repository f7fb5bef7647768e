import { expect, test } from "vitest";
import type { ChainFile } from "./backing-chain.ts";
import { toBlockDescription } from "./block-description.ts";

const file = (format: "qcow2" | "raw"): ChainFile => ({ path: "x", format, fileBytes: 0, header: undefined });

test("spells out every format, every file and the end of the chain", () => {
  const description = toBlockDescription({ files: [file("qcow2"), file("qcow2")], virtualSizeBytes: 0 }, "off");
  const node = (fd: number, backing: unknown) => ({
    driver: "qcow2",
    "read-only": true,
    file: { driver: "file", filename: `/proc/self/fd/${fd}`, "read-only": true, locking: "off" },
    backing,
  });
  expect(description.startsWith("json:")).toBe(true);
  expect(JSON.parse(description.slice("json:".length))).toEqual(node(3, node(4, null)));
});

test("a raw base has no backing option", () => {
  const description = toBlockDescription({ files: [file("qcow2"), file("raw")], virtualSizeBytes: 0 }, "auto");
  const { backing } = JSON.parse(description.slice("json:".length)) as { backing: object };
  expect(backing).toEqual({
    driver: "raw",
    "read-only": true,
    file: { driver: "file", filename: "/proc/self/fd/4", "read-only": true, locking: "auto" },
  });
});
