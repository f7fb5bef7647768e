import type { BackingChain } from "./backing-chain.ts";

/** The first descriptor after stdin, stdout and stderr. */
export const FIRST_FD = 3;

/** "off" keeps no writer away; "auto" does, and is itself refused while there is one. */
export type Locking = "off" | "auto";

/**
 * What qemu-nbd is to open, as a "json:" description: each file of the chain by the descriptor that was
 * handed to it (`FIRST_FD` for the first file, and so on), each format and each backing file spelled out.
 * So QEMU follows no path from a header and probes no format.
 */
export function toBlockDescription(chain: BackingChain, locking: Locking): string {
  let backing: object | null = null;
  for (const [index, file] of [...chain.files.entries()].reverse()) {
    const node = {
      driver: file.format,
      "read-only": true,
      file: { driver: "file", filename: `/proc/self/fd/${FIRST_FD + index}`, "read-only": true, locking },
    };
    // A raw file has no backing file, and its driver no such option.
    backing = file.format === "raw" ? node : { ...node, backing };
  }
  return `json:${JSON.stringify(backing)}`;
}
