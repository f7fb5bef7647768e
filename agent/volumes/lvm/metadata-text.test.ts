import { describe, expect, it } from "vitest";
import { parseMetadataText } from "./metadata-text.ts";
import { formatUuid, toVolumeGroup } from "./volume-group.ts";

const id = "abcdef-1234-1234-1234-1234-1234-abcdef";
const group = (volumes: string, extra = ""): string => `
vg0 {
  id = "${id}"
  seqno = 7   # a comment with { and "
  format = "lvm2"
  status = ["RESIZEABLE", "READ", "WRITE"]
  extent_size = 8192
  ${extra}
  physical_volumes { pv0 { id = "${id}" device = "/dev/sda2" status = ["ALLOCATABLE"] flags = [] pe_start = 2048 pe_count = 10 } }
  logical_volumes { ${volumes} }
}
contents = "Text Format Volume Group"
description = "with \\"quotes\\" and \\\\"
# the end: 2 } "`;
const lv = (name: string, segments: string, count = 1): string => `${name} { id = "${id}" status = ["READ", "VISIBLE"] segment_count = ${count} ${segments} }`;

describe("LVM2's metadata text", () => {
  it("is values, lists and sections; comments and the NUL at its end are nothing", () => {
    const root = parseMetadataText(`${group("")}\n\0`);
    expect(root.values.get("description")).toBe('with "quotes" and \\');
    expect(root.sections.get("vg0")?.values.get("status")).toEqual(["RESIZEABLE", "READ", "WRITE"]);
    expect(root.sections.get("vg0")?.values.get("seqno")).toBe(7);
  });

  it.each([
    ["a { b = 1", "ends in the middle"],
    ["a = [1, 2", "ends in the middle"],
    ["a = [1 2]", "expected , or ]"],
    ["a = b", "expected a number or a string"],
    ["a 1", "expected = or {"],
    ["}", "expected the end"],
    ["a = \"open", "no place there"],
    ["= 1", "expected a name"],
    ["a {".repeat(100_000), "nested deeper"],
  ])("refuses %.20s", (text, reason) => {
    expect(() => parseMetadataText(text)).toThrow(reason);
  });

  it("takes a long text in one pass", () => {
    const text = `a { ${'k = "a string of some length"\n'.repeat(100_000)} }`;
    const startedAt = performance.now();
    parseMetadataText(text);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

describe("a volume group", () => {
  it("has its volumes with segments in order", () => {
    const segment = (number: number, start: number, count: number): string => `segment${number} { start_extent = ${start} extent_count = ${count} type = "striped" stripes = ["pv0", ${start}] }`;
    const found = toVolumeGroup(parseMetadataText(group(lv("root", `${segment(2, 3, 2)} ${segment(1, 0, 3)}`, 2))));
    expect(found).toMatchObject({ name: "vg0", sequence: 7, extentBytes: 4 * 1024 * 1024 });
    expect(formatUuid(found.uuid)).toBe(id);
    const root = found.logicalVolumes.get("root");
    expect(root?.segments.map((one) => one.startExtent)).toEqual([0, 3]);
    expect(root).toMatchObject({ extentCount: 5, isVisible: true, error: undefined });
  });

  it("keeps a damaged volume to itself", () => {
    const found = toVolumeGroup(parseMetadataText(group(`${lv("good", 'segment1 { start_extent = 0 extent_count = 3 type = "striped" stripes = ["pv0", 0] }')} ${lv("bad", "", 1)}`)));
    expect(found.logicalVolumes.get("good")?.error).toBeUndefined();
    expect(found.logicalVolumes.get("bad")?.error?.message).toContain("0 segments, expected 1");
  });

  it("refuses what is no group of LVM2", () => {
    expect(() => toVolumeGroup(parseMetadataText("a = 1"))).toThrow("0 sections, expected one");
    expect(() => toVolumeGroup(parseMetadataText(group("").replace('"lvm2"', '"lvm9"')))).toThrow('LVM metadata format "lvm9"');
    expect(() => toVolumeGroup(parseMetadataText(group("").replace("8192", "0")))).toThrow("extent_size 0");
    expect(() => toVolumeGroup(parseMetadataText(group("").replace("vg0", "-x")))).toThrow("impossible name");
  });
});
