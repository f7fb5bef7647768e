// Partitions that are only pieces of volumes kept in another database on the disk. What their first sectors look like
// may be the start of a striped or spanned volume, so they are named, never opened. Types: Microsoft's
// PARTITION_INFORMATION_GPT, and the kernel's Documentation/admin-guide/ldm.rst for the MBR.

const dynamicDisk = "Windows dynamic disk (LDM)";

export const unreadMbrTypes: ReadonlyMap<number, string> = new Map([[0x42, dynamicDisk]]);

export const unreadGptTypes: ReadonlyMap<string, string> = new Map([
  ["5808C8AA-7E8F-42E0-85D2-E1E90434CFB3", `${dynamicDisk}, metadata`],
  ["AF9B60A0-1431-4F62-BC68-3311714A69AD", `${dynamicDisk}, data`],
  ["E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D", "Windows Storage Spaces"],
]);
