import { describe, expect, it } from "vitest";
import type { Backup } from "../api/types.ts";
import { selectPoint } from "./point.ts";

const backup = (backup_id: string, completed_at: string | null, status = "completed"): Backup => ({
  backup_id, vm_name: "vm", repository_id: "r", backup_type: "full", status, created_at: "2025-10-01T00:00:00.000Z", completed_at, disks: [],
});

const points = [
  backup("b-3", "2025-10-08T20:00:00.000Z"),
  backup("b-1", "2025-10-07T23:59:59.999Z"),
  backup("b-running", null, "running"),
  backup("b-2", "2025-10-08T18:31:07.000Z"),
  backup("b-failed", "2025-10-09T10:00:00.000Z", "failed"),
];

describe("restore points by name", () => {
  it.each([
    [undefined, "b-3"],
    ["latest", "b-3"],
    ["-0", "b-3"],
    ["-1", "b-2"],
    ["-2", "b-1"],
    ["2025-10-08", "b-3"],
    ["2025-10-07", "b-1"],
    ["2025-10", "b-3"],
    ["2025-10-08T18", "b-2"],
    ["2025-10-08T1831", "b-2"],
    ["2025-10-08T18:31:07", "b-2"],
    ["b-1", "b-1"],
    ["b-failed", "b-failed"],
    ["b-running", "b-running"],
  ])("%s is %s", (point, expected) => {
    expect(selectPoint(points, point, "vm").backup_id).toBe(expected);
  });

  it.each(["-3", "2025-10-09", "2025-10-08T19", "b-4", "2025-1", "yesterday", "2025-10T18"])("there is none for %s", (point) => {
    expect(() => selectPoint(points, point, "vm")).toThrow(expect.objectContaining({ code: "backup_not_found", exitCode: 3 }) as Error);
  });

  it("never takes a restore point that is not complete unless it is named", () => {
    expect(() => selectPoint([backup("b", "2025-10-09T10:00:00.000Z", "failed")], undefined, "vm")).toThrow(/no complete restore point/);
  });
});
