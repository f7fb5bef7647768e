import { describe, expect, it } from "vitest";
import type { Backup, BackupDisk } from "../../api/types.ts";
import { groupByDay, newestOpenable, toRestorePoints, whyNot } from "./restore-point.ts";

const disk = (changes: Partial<BackupDisk> = {}): BackupDisk => ({
  disk_index: 0, vmware_disk_key: null, size_gb: 1, size_bytes: 2 ** 30, stored_bytes: 100, qcow2_path: "a/disk-0/a.qcow2", status: "completed", mountable: true, ...changes,
});
const failedDisk = disk({ status: "failed", mountable: false, stored_bytes: null });
const backup = (id: string, changes: Partial<Backup> = {}): Backup => ({
  backup_id: id, vm_name: "a", repository_id: "r", backup_type: "full", status: "completed", created_at: null, completed_at: "2025-10-09T12:00:00.000Z", disks: [disk()], ...changes,
});

describe("a restore point", () => {
  it.each([
    ["complete", "completed", [disk(), disk()]],
    ["partial", "completed", [disk(), failedDisk]],
    ["partial", "failed", [disk(), disk()]],
    ["failed", "failed", [failedDisk]],
    ["failed", "completed", []],
    ["running", "running", [disk({ status: "running", mountable: false })]],
    ["running", "pending", []],
  ] as const)("is %s with status %s and its disks", (state, status, disks) => {
    expect(toRestorePoints([backup("x", { status, disks: [...disks] })])[0]?.state).toBe(state);
  });

  it("compares a full one with the full one before that is complete, in the same repository", () => {
    const sized = (bytes: number) => [disk({ stored_bytes: bytes })];
    const points = toRestorePoints([
      backup("newest", { disks: sized(150) }),
      backup("incremental", { backup_type: "incremental", disks: sized(7) }),
      backup("failed", { status: "failed", disks: [failedDisk] }),
      backup("elsewhere", { repository_id: "other", disks: sized(1) }),
      backup("oldest", { disks: sized(120) }),
    ]);
    expect(points.map(({ size }) => size)).toEqual([
      { storedBytes: 150, moreThanFullBytes: 30 },
      { storedBytes: 7, moreThanFullBytes: undefined },
      undefined,
      { storedBytes: 1, moreThanFullBytes: undefined },
      { storedBytes: 120, moreThanFullBytes: undefined },
    ]);
  });

  it("has no size when that of one of its files is not known", () => {
    expect(toRestorePoints([backup("x", { disks: [disk(), disk({ stored_bytes: null })] })])[0]?.size).toBeUndefined();
  });

  it("was taken when it was completed, else when it was begun", () => {
    expect(toRestorePoints([backup("x", { completed_at: null, created_at: "2025-01-01T00:00:00.000Z" })])[0]?.takenAt).toBe("2025-01-01T00:00:00.000Z");
  });

  it("is offered first when it is the newest of which all opens", () => {
    const points = toRestorePoints([backup("partial", { disks: [disk(), failedDisk] }), backup("whole"), backup("older")]);
    expect(newestOpenable(points)?.backup.backup_id).toBe("whole");
    expect(newestOpenable(points.slice(0, 1))?.backup.backup_id).toBe("partial");
    expect(newestOpenable(toRestorePoints([backup("failed", { status: "failed", disks: [failedDisk] })]))).toBeUndefined();
  });
});

it("restore points stand together by day, in their order; those without a time are a day of their own", () => {
  // Noon UTC is the same day from 11 hours west to 11 hours east.
  const at = (id: string, completed_at: string | null) => backup(id, { completed_at });
  const days = groupByDay(toRestorePoints([at("c", "2025-10-09T12:30:00.000Z"), at("b", "2025-10-09T12:00:00.000Z"), at("a", "2025-10-07T12:00:00.000Z"), at("unknown", null)]));
  expect(days.map(({ day, points }) => [day, points.map((point) => point.backup.backup_id)])).toEqual([["2025-10-09", ["c", "b"]], ["2025-10-07", ["a"]], ["", ["unknown"]]]);
});

it.each([[disk(), undefined], [failedDisk, "failed"], [disk({ mountable: false, status: "running" }), "incomplete"], [disk({ mountable: false, qcow2_path: null }), "noFile"]] as const)("says why a disk can't be opened (%#)", (given, why) => {
  expect(whyNot(given)).toBe(why);
});
