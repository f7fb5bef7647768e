import type { Backup, BackupDisk } from "../../api/types.ts";

/** `partial`: some disks can be opened, others not. */
export type PointState = "complete" | "partial" | "running" | "failed";

/** What a restore point's own files hold, and how that compares. */
export interface PointSize {
  readonly storedBytes: number;
  /** Of a full one: how much more (or less) than the full one before; undefined for the first, and for incrementals. */
  readonly moreThanFullBytes: number | undefined;
}

export interface RestorePoint {
  readonly backup: Backup;
  readonly isFull: boolean;
  readonly state: PointState;
  /** ISO; null when the catalog has no time. */
  readonly takenAt: string | null;
  /** Undefined when the size of any of its files is not known. */
  readonly size: PointSize | undefined;
}

export interface Day {
  /** "2025-10-09" by the clock of whoever looks; "" when not known. */
  readonly day: string;
  readonly points: readonly RestorePoint[];
}

const unfinished = new Set(["running", "pending", "in_progress", "queued", "started"]);

/** @param backups of one machine, newest first */
export function toRestorePoints(backups: readonly Backup[]): RestorePoint[] {
  return backups.map((backup, index) => {
    const storedBytes = storedOf(backup);
    const fullBefore = isFull(backup) ? backups.slice(index + 1).find((older) => isFull(older) && stateOf(older) === "complete" && older.repository_id === backup.repository_id) : undefined;
    const fullBytes = fullBefore === undefined ? undefined : storedOf(fullBefore);
    const size = storedBytes === undefined ? undefined : { storedBytes, moreThanFullBytes: fullBytes === undefined ? undefined : storedBytes - fullBytes };
    return { backup, isFull: isFull(backup), state: stateOf(backup), takenAt: backup.completed_at ?? backup.created_at, size };
  });
}

export function groupByDay(points: readonly RestorePoint[]): Day[] {
  const days: { day: string; points: RestorePoint[] }[] = [];
  for (const point of points) {
    const day = dayOf(point.takenAt);
    const last = days.at(-1);
    if (last?.day === day) last.points.push(point);
    else days.push({ day, points: [point] });
  }
  return days;
}

/** The one that most people want: the newest of which every disk opens, else any that opens at all. */
export function newestOpenable(points: readonly RestorePoint[]): RestorePoint | undefined {
  return points.find(({ state }) => state === "complete") ?? points.find(({ backup }) => backup.disks.some(({ mountable }) => mountable));
}

/** Why a disk can't be opened. */
export function whyNot(disk: BackupDisk): "failed" | "incomplete" | "noFile" | undefined {
  if (disk.mountable) return undefined;
  if (disk.status === "failed") return "failed";
  return disk.status === "completed" ? "noFile" : "incomplete";
}

function isFull(backup: Backup): boolean {
  return backup.backup_type !== "incremental";
}

function stateOf({ status, disks }: Backup): PointState {
  if (unfinished.has(status)) return "running";
  const openable = disks.filter(({ mountable }) => mountable).length;
  if (openable === 0) return "failed";
  return openable === disks.length && status === "completed" ? "complete" : "partial";
}

function storedOf({ disks }: Backup): number | undefined {
  let sum = 0;
  for (const { stored_bytes: bytes } of disks) {
    if (bytes === null) return undefined;
    sum += bytes;
  }
  return disks.length === 0 ? undefined : sum;
}

function dayOf(takenAt: string | null): string {
  const date = takenAt === null ? undefined : new Date(takenAt);
  if (date === undefined || Number.isNaN(date.getTime())) return "";
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
