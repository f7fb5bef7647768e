import { PluckError } from "../../shared/errors.ts";

/**
 * The error behind what qemu-nbd wrote to stderr before it ended.
 *
 * @param ending an exit code, or the name of the signal that ended it; undefined when it never started
 */
export function toQemuError(stderr: string, ending: number | string | undefined): PluckError {
  const message = toSentence(stderr);
  const how = typeof ending === "number" ? `exit code ${ending}` : (ending ?? "not started");
  const detail = `qemu-nbd ended (${how})${message === "" ? "" : `: ${message}`}`;
  // Killed or crashed: what it said before that is another matter.
  if (typeof ending !== "number") return new PluckError("internal", detail);
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
  const lines = stderr
    .trim()
    .split("\n")
    .filter((line) => !/^qemu-nbd: (?:option negotiation failed|Disconnect client)/.test(line));
  // A hint may follow the complaint: "Is another process using the image [...]?".
  const complaint = lines.findLast((line) => line.startsWith("qemu-nbd: ")) ?? lines.at(-1) ?? "";
  return complaint
    .replace(/^qemu-nbd: /, "")
    .replace(/^Failed to (?:blk_new_open|load) 'json:.*\}': /, "")
    .replace(/'?json:\{.*\}'?/, "the image")
    .slice(0, 500);
}
