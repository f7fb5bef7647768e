import { describe, expect, it } from "vitest";
import { PluckError } from "./errors.ts";
import { decodeSelection, describePaths, encodeSelection, hashSelection, maxSelectionBytes } from "./selection.ts";

const selection = { name: "what I need 🎉", mounts: [{ mount_id: "mnt-1", folder: "backup-1-disk-0", paths: ["/p2/etc/hosts", "/p2/ünïcödé\n%FF"] }] };
const thrown = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error instanceof PluckError ? error.code : error;
  }
};

describe("a selection as text", () => {
  it("comes back as it was, and needs no escaping in a form", () => {
    const text = encodeSelection(selection);
    expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(decodeSelection(text)).toMatchObject(selection);
    expect(encodeURIComponent(text)).toBe(text);
    expect(hashSelection(text)).toMatch(/^[0-9a-f]{64}$/);
  });

  it("of ten thousand paths of one folder is small, and one that no agent would take is not made", () => {
    const paths = Array.from({ length: 10_000 }, (_, index) => `/p2/var/lib/postgresql/16/main/base/16384/${String(index)}`);
    expect(encodeSelection({ ...selection, mounts: [{ mount_id: "m", folder: "f", paths }] }).length).toBeLessThan(100_000);
    const random = Array.from({ length: 1000 }, () => `/p2/${Array.from({ length: 8000 }, () => String.fromCharCode(48 + Math.floor(Math.random() * 75))).join("")}`);
    expect(thrown(() => encodeSelection({ ...selection, mounts: [{ mount_id: "m", folder: "f", paths: random }] }))).toBe("body_too_large");
    expect(maxSelectionBytes).toBe(4_194_304);
  });

  it.each(["", "x", "bm9uc2Vuc2U", encodeSelection({ ...selection, mounts: [] }), encodeSelection({ ...selection, name: "" })])("is refused when it is none: %s", (text) => {
    expect(thrown(() => decodeSelection(text))).toBe("invalid_request");
  });
});

describe("paths for the audit trail", () => {
  it("stand a line each, the first of very many", () => {
    expect(describePaths(["/a", "/b\nc\u007f"])).toBe("/a\n/b%0Ac%7F");
    expect(describePaths([`/${"x".repeat(10_000)}`])).toHaveLength(10_001);
    const lines = describePaths(Array.from({ length: 5000 }, (_, index) => `/file-${String(index)}`)).split("\n");
    expect(lines[0]).toBe("/file-0");
    expect(lines.at(-1)).toBe(`and ${String(5000 - lines.length + 1)} more`);
    expect(lines.join("\n").length).toBeLessThan(4200);
  });
});
