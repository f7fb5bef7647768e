import { describe, expect, it } from "vitest";
import { groupRestorePoints, type ScannedFile } from "./group-restore-points.ts";

function file(path: string, more: Partial<ScannedFile> = {}): ScannedFile {
  const [vm = "", folder = ""] = path.split("/");
  return {
    vm_name: vm, disk_index: Number(folder.replace("disk-", "")), qcow2_path: path, size_bytes: 1, modified_at: "2026-01-01T00:00:00.000Z", chain: [path], error: null, ...more,
  };
}

function grouped(...paths: string[]): string[][] {
  return groupRestorePoints(paths.map((path) => file(path))).map(({ files }) => files.map(({ qcow2_path: path }) => path));
}

describe("restore points found in a repository", () => {
  it("take the disks of one backup together by their common name", () => {
    expect(grouped(
      "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2",
      "pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2",
      "pgtest1/disk-0/backup-pgtest1-disk0-20251009-010000.qcow2",
    )).toEqual([
      ["pgtest1/disk-0/backup-pgtest1-disk0-20251008-192431.qcow2", "pgtest1/disk-1/backup-pgtest1-disk1-20251008-192431.qcow2"],
      ["pgtest1/disk-0/backup-pgtest1-disk0-20251009-010000.qcow2"],
    ]);
    expect(grouped("vm/disk-0/monday.qcow2", "vm/disk-1/monday.qcow2", "vm/disk-0/tuesday.qcow2")).toHaveLength(2);
  });

  it("take names apart that differ in more than the disk's own number", () => {
    expect(grouped("vm/disk-1/full-disk1.qcow2", "vm/disk-11/full-disk11.qcow2")).toEqual([["vm/disk-1/full-disk1.qcow2", "vm/disk-11/full-disk11.qcow2"]]);
    expect(grouped("vm/disk-1/full-disk1.qcow2", "vm/disk-2/full-disk1.qcow2")).toHaveLength(2);
  });

  it("are not misled by a VM whose name looks like a disk", () => {
    expect(grouped("disk0-box/disk-0/disk0-box-disk0-a.qcow2", "disk0-box/disk-1/disk0-box-disk1-a.qcow2")).toHaveLength(1);
  });

  it("take files with the same time together, whatever else their names say", () => {
    expect(grouped("vm/disk-0/system-20251008T192431.qcow2", "vm/disk-1/data_20251008192431.qcow2")).toHaveLength(1);
    expect(grouped("vm/disk-0/a-20251008-192431.qcow2", "vm/disk-0/b-20251008-192431.qcow2")).toHaveLength(2);
    expect(grouped("vm/disk-0/a-20251399-992431.qcow2", "vm/disk-1/b-20251399-992431.qcow2")).toHaveLength(2);
  });

  it("never mix VMs", () => {
    expect(grouped("a/disk-0/x-20251008-192431.qcow2", "b/disk-1/x-20251008-192431.qcow2")).toHaveLength(2);
  });

  it("never hold a disk twice", () => {
    expect(grouped("vm/disk-0/x-disk0.qcow2", "vm/disk-0/x-disk00.qcow2")).toHaveLength(2);
  });

  it("are incremental when one of their files stands on another, and come after it", () => {
    const base = file("vm/disk-0/a.qcow2");
    const top = file("vm/disk-0/b.qcow2", { chain: ["vm/disk-0/b.qcow2", "vm/disk-0/a.qcow2"] });
    expect(groupRestorePoints([top, base]).map(({ backupType }) => backupType)).toEqual(["full", "incremental"]);
  });

  it("are as old as their name says, else as their newest file", () => {
    const [named, unnamed] = [
      groupRestorePoints([file("vm/disk-0/x-20251008-192431.qcow2")])[0],
      groupRestorePoints([file("vm/disk-0/x.qcow2"), file("vm/disk-1/x.qcow2", { modified_at: "2026-02-01T00:00:00.000Z" })])[0],
    ];
    expect(named?.completedAt.toISOString()).toBe("2025-10-08T19:24:31.000Z");
    expect(unnamed?.completedAt.toISOString()).toBe("2026-02-01T00:00:00.000Z");
  });
});
