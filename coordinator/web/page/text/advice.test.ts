import { expect, it } from "vitest";
import { errorCodes } from "../../../../shared/errors.ts";
import { advice } from "./advice.ts";

it("advice is given for errors that there are", () => {
  // The page's own: no answer came at all.
  const known = new Set<string>([...Object.keys(errorCodes), "unreachable"]);
  expect(Object.keys(advice).filter((code) => !known.has(code))).toEqual([]);
});

it("advice is given for every error that opening, browsing and unlocking end with", () => {
  const codes = ["backup_not_found", "disk_not_found", "mount_not_found", "path_not_found", "backup_incomplete", "backup_in_use", "qcow2_missing", "chain_outside_repository", "nbd_devices_exhausted", "agent_offline", "agent_timeout", "unsupported", "corrupt", "io_error", "volume_locked", "wrong_key", "too_many_attempts"] as const satisfies (keyof typeof errorCodes)[];
  expect(codes.filter((code) => advice[code] === undefined)).toEqual([]);
});
