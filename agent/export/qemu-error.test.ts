import { expect, test } from "vitest";
import { toQemuError } from "./qemu-error.ts";

// What qemu-nbd 7.2 wrote in each case.
const description = `json:{"driver":"qcow2","read-only":true,"file":{"driver":"file","filename":"/proc/self/fd/3"},"backing":null}`;

test.each([
  [
    `qemu-nbd: Failed to blk_new_open '${description}': Could not open backing file: Failed to get shared "write" lock\nIs another process using the image [/proc/self/fd/4]?\n`,
    "backup_in_use",
    "another process has a file of this backup open for writing",
  ],
  [
    `qemu-nbd: Failed to blk_new_open '${description}': Active L1 table offset invalid\n`,
    "corrupt",
    "qemu-nbd ended (exit code 1): Active L1 table offset invalid",
  ],
  [
    `qemu-nbd: Failed to blk_new_open '${description}': Could not open '/proc/self/fd/3': Permission denied\n`,
    "io_error",
    "qemu-nbd ended (exit code 1): Could not open '/proc/self/fd/3': Permission denied",
  ],
  ["", "internal", "qemu-nbd ended (exit code 1)"],
])("%j is %s", (stderr, code, message) => {
  expect(toQemuError(stderr, 1)).toMatchObject({ code, message });
});

test("a client that hung up is no complaint about the image", () => {
  const stderr = "qemu-nbd: option negotiation failed: Failed to read opts magic: Unexpected end-of-file before all data were read\n";
  expect(toQemuError(stderr, 1)).toMatchObject({ code: "internal", message: "qemu-nbd ended (exit code 1)" });
});

test("a crash is internal, whatever was said before", () => {
  expect(toQemuError("qemu-nbd: some warning\n", "SIGSEGV")).toMatchObject({ code: "internal", message: "qemu-nbd ended (SIGSEGV): some warning" });
  expect(toQemuError("spawn ENOENT", undefined)).toMatchObject({ code: "internal", message: "qemu-nbd ended (not started): spawn ENOENT" });
});

test("says nothing of how the image was handed over, and stays short", () => {
  const error = toQemuError(`qemu-nbd: cannot open ${description}: ${"x".repeat(5000)}`, "SIGABRT");
  expect(error.message).not.toContain("driver");
  expect(error.message.length).toBeLessThan(600);
});
