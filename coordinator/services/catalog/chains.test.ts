import { describe, expect, it } from "vitest";
import { findChain } from "./chains.ts";

const full = (backupId: string) => ({ backupId, backupType: "full" });
const incremental = (backupId: string) => ({ backupId, backupType: "incremental" });

describe("the chain of a disk", () => {
  it("begins with the last full backup", () => {
    expect(findChain([full("a"), incremental("b"), full("c"), incremental("d")])).toEqual({ fullBackupId: "c", latestBackupId: "d", totalBackups: 2 });
  });

  it("begins with the oldest there is when the full one is gone", () => {
    expect(findChain([incremental("b"), incremental("c")])).toEqual({ fullBackupId: "b", latestBackupId: "c", totalBackups: 2 });
  });

  it("is none without a restore point", () => {
    expect(findChain([])).toBeUndefined();
  });
});
