import type { CommandResult } from "../../../shared/messages.ts";

export type ScannedFile = CommandResult<"scan">["files"][number];

/** Files that one backup made: at most one a disk. */
export interface FoundRestorePoint {
  readonly vmName: string;
  readonly files: readonly ScannedFile[];
  readonly backupType: "full" | "incremental";
  readonly completedAt: Date;
}

/**
 * Groups the files of `<vm>/disk-<n>/` into restore points. Files of several disks belong together when
 * their names are the same but for the disk's number (`…-disk0-…`, `…-disk1-…`), or carry the same time
 * (`20251008-192431`). Oldest first, so that a full one comes before what stands on it.
 */
export function groupRestorePoints(files: readonly ScannedFile[]): FoundRestorePoint[] {
  const byName = new Map<string, ScannedFile[]>();
  for (const file of files) {
    const key = `${file.vm_name}\0${commonName(file)}`;
    byName.set(key, [...(byName.get(key) ?? []), file]);
  }
  const groups = [...byName.values()].flatMap(splitSameDisk);
  return mergeSameTime(groups)
    .map(toRestorePoint)
    .sort((a, b) => a.completedAt.getTime() - b.completedAt.getTime() || Number(a.backupType === "incremental") - Number(b.backupType === "incremental"));
}

/** The file's name with its own disk's number taken out: the last place where it stands, for a VM's name may hold one too. */
function commonName(file: ScannedFile): string {
  const name = baseName(file.qcow2_path);
  const numbered = new RegExp(`(?<![A-Za-z])(disk[-_]?)0*${String(file.disk_index)}(?!\\d)`, "gi");
  const last = [...name.matchAll(numbered)].at(-1);
  return last === undefined ? name : `${name.slice(0, last.index)}${last[1] ?? ""}*${name.slice(last.index + last[0].length)}`;
}

/** Two files of one disk are two restore points, however alike their names. */
function splitSameDisk(group: ScannedFile[]): ScannedFile[][] {
  return isOneADisk(group) ? [group] : group.map((file) => [file]);
}

function mergeSameTime(groups: readonly ScannedFile[][]): ScannedFile[][] {
  const byTime = new Map<string, ScannedFile[][]>();
  const result: ScannedFile[][] = [];
  for (const group of groups) {
    const [first] = group;
    const time = first === undefined ? undefined : timeOf(first);
    if (first === undefined || time === undefined) {
      result.push(group);
    } else {
      const key = `${first.vm_name}\0${time}`;
      byTime.set(key, [...(byTime.get(key) ?? []), group]);
    }
  }
  for (const same of byTime.values()) {
    const merged = same.flat();
    if (isOneADisk(merged)) result.push(merged);
    else result.push(...same);
  }
  return result;
}

function isOneADisk(files: readonly ScannedFile[]): boolean {
  return new Set(files.map((file) => file.disk_index)).size === files.length;
}

function toRestorePoint(files: readonly ScannedFile[]): FoundRestorePoint {
  const sorted = files.toSorted((a, b) => a.disk_index - b.disk_index);
  const newest = new Date(Math.max(...sorted.map((file) => Date.parse(file.modified_at))));
  const [time] = sorted.map(timeOf).filter((found) => found !== undefined);
  return {
    vmName: sorted[0]?.vm_name ?? "",
    files: sorted,
    backupType: sorted.some((file) => file.chain.length > 1) ? "incremental" : "full",
    // By its name where that tells: a file's own time is often that of a copy. Taken as UTC.
    completedAt: (time === undefined ? undefined : parseTime(time)) ?? newest,
  };
}

const timePattern = /(?<!\d)(\d{8})[-_T]?(\d{6})(?!\d)/g;

/** The time in a file's name as 14 digits; undefined for none or one that no calendar has. */
function timeOf(file: ScannedFile): string | undefined {
  const found = [...baseName(file.qcow2_path).matchAll(timePattern)].map((match) => `${match[1] ?? ""}${match[2] ?? ""}`);
  return found.findLast((digits) => parseTime(digits) !== undefined);
}

function parseTime(digits: string): Date | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(digits);
  if (match === null) return undefined;
  const iso = `${match[1] ?? ""}-${match[2] ?? ""}-${match[3] ?? ""}T${match[4] ?? ""}:${match[5] ?? ""}:${match[6] ?? ""}.000Z`;
  const date = new Date(iso);
  // 31 February reads as a day in March.
  return !Number.isNaN(date.getTime()) && date.toISOString() === iso && date.getUTCFullYear() >= 1970 ? date : undefined;
}

function baseName(path: string): string {
  return (path.split("/").at(-1) ?? "").replace(/\.qcow2$/i, "");
}
