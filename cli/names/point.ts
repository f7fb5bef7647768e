import type { Backup } from "../api/types.ts";
import { Failure } from "../output/failure.ts";

/**
 * Restore points by name:
 *
 * | Name | Restore point |
 * |---|---|
 * | (none), latest | the newest that is complete |
 * | -2 | two before the latest (-0 is the latest) |
 * | 2025-10-08, 2025-10, 2025-10-08T18, 2025-10-08T18:30 | the newest complete one of that day, month, hour, minute; UTC |
 * | backup-… | the one with this id, whatever its state |
 *
 * Colons in a time may be left out (T1830): in a remote name they would need a backslash.
 * @param backups of one VM, in any order
 */
export function selectPoint(backups: readonly Backup[], point: string | undefined, vm: string): Backup {
  const byId = backups.find(({ backup_id }) => backup_id === point);
  if (byId !== undefined) return byId;
  const complete = completePoints(backups);
  const [latest] = complete;
  if (latest === undefined) throw none(`${vm} has no complete restore point.`, vm);
  if (point === undefined || point === "latest") return latest;
  const back = /^-(\d{1,6})$/.exec(point)?.[1];
  if (back !== undefined) {
    const found = complete[Number(back)];
    if (found === undefined) throw none(`${vm} has ${complete.length} complete restore point${complete.length === 1 ? "" : "s"}; @${point} goes too far back.`, vm);
    return found;
  }
  const prefix = timePrefix(point);
  if (prefix === undefined) throw none(`${vm} has no restore point "${point}".`, vm);
  const found = complete.find((backup) => timeOf(backup).startsWith(prefix));
  if (found === undefined) throw none(`${vm} has no complete restore point of ${point} (UTC).`, vm);
  return found;
}

/** The newest first. */
export function completePoints(backups: readonly Backup[]): Backup[] {
  return newestFirst(backups.filter(({ status }) => status === "completed"));
}

export function newestFirst(backups: readonly Backup[]): Backup[] {
  return backups.toSorted((a, b) => timeOf(b).localeCompare(timeOf(a)) || b.backup_id.localeCompare(a.backup_id));
}

export function timeOf(backup: Backup): string {
  return backup.completed_at ?? backup.created_at ?? "";
}

/** "2025-10-08T1830" → "2025-10-08T18:30"; undefined when it is no beginning of a time. */
function timePrefix(point: string): string | undefined {
  const match = /^(\d{4}-\d\d(?:-\d\d)?)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d))?)?)?Z?$/.exec(point);
  if (match === null) return undefined;
  const [, date = "", ...time] = match;
  const parts = time.filter((part) => part !== undefined);
  if (parts.length > 0 && date.length < 10) return undefined;
  return parts.length === 0 ? date : `${date}T${parts.join(":")}`;
}

function none(detail: string, vm: string): Failure {
  return new Failure("backup_not_found", detail, `\`pluck backups ${vm}\` lists those there are.`);
}
