import { PluckError } from "../../shared/errors.ts";

/** The error behind what qemu-nbd wrote to stderr before it ended. */
export function toQemuError(stderr: string, status: string): PluckError {
  const message = toSentence(stderr);
  const detail = `qemu-nbd ended (${status})${message === "" ? "" : `: ${message}`}`;
  if (/Failed to get .*lock/i.test(message)) {
    return new PluckError("backup_in_use", "another process has a file of this backup open for writing", { cause: new Error(detail) });
  }
  if (/unsupported|not supported|unknown (?:driver|compression)/i.test(message)) return new PluckError("unsupported", detail);
  if (/permission denied|input\/output error|cannot allocate memory|no such file|too many open files/i.test(message)) {
    return new PluckError("io_error", detail);
  }
  // What else it refuses to open lies in the image's own bytes.
  return new PluckError(message === "" ? "internal" : "corrupt", detail);
}

/** What it complained of, without its own name and the long description of what it was to open. */
function toSentence(stderr: string): string {
  const lines = stderr.trim().split("\n");
  // A hint may follow the complaint: "Is another process using the image [...]?".
  const complaint = lines.findLast((line) => line.startsWith("qemu-nbd: ")) ?? lines.at(-1) ?? "";
  return complaint
    .replace(/^qemu-nbd: /, "")
    .replace(/^Failed to (?:blk_new_open|load) 'json:.*\}': /, "")
    .replace(/'?json:\{.*\}'?/, "the image")
    .slice(0, 500);
}
