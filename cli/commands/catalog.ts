import type { Backup, Vm } from "../api/types.ts";
import { print, printJson, withSession, type CommonOptions } from "../context.ts";
import { escapeText } from "../names/escape.ts";
import { completePoints } from "../names/point.ts";
import { Failure } from "../output/failure.ts";
import { formatBytes, formatTable, formatTime } from "../output/format.ts";

export async function vms(search: string | undefined, options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async ({ coordinator, json }) => {
    const found: Vm[] = [];
    for await (const vm of coordinator.vms(search)) found.push(vm);
    if (json) await printJson({ vms: found });
    else await print(formatVms(found));
  });
}

export function formatVms(found: readonly Vm[]): string {
  if (found.length === 0) return "No VMs.\n";
  return formatTable(
    [{ title: "VM" }, { title: "POINTS", right: true }, { title: "LATEST (UTC)" }, { title: "TYPE" }, { title: "SITES" }],
    found.map((vm) => [
      escapeText(vm.vm_name),
      String(vm.restore_points),
      formatTime(vm.latest?.completed_at ?? null),
      stateOf(vm.latest?.backup_type, vm.latest?.status),
      vm.repositories.map(({ name, online }) => `${escapeText(name)}${online ? "" : " (offline)"}`).join(", "),
    ]),
  );
}

export async function backups(vm: string, options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async (session) => {
    const { catalog, json } = session;
    const name = options.vm ?? parseVm(vm, (text) => session.parse(text));
    const found = await catalog.backups(name);
    if (json) await printJson({ vm_name: name, backups: found.map((backup) => ({ ...backup, point: pointName(backup, found) })) });
    else await print(formatBackups(found));
  });
}

function parseVm(text: string, parse: (name: string) => { vm: string; point: string | undefined; disk: unknown }): string {
  const { vm, point, disk } = parse(text);
  if (point === undefined && disk === undefined) return vm;
  throw new Failure("usage", `"${text}" is more than the name of a VM.`, "An @ or : that belongs to the name is written with a backslash, or after --vm.");
}

export function formatBackups(found: readonly Backup[]): string {
  return formatTable(
    [{ title: "POINT" }, { title: "COMPLETED (UTC)" }, { title: "TYPE" }, { title: "SITE" }, { title: "DISKS" }, { title: "BACKUP" }],
    found.map((backup) => [
      pointName(backup, found) ?? "",
      formatTime(backup.completed_at ?? backup.created_at),
      stateOf(backup.backup_type, backup.status),
      escapeText(backup.repository_id),
      backup.disks.map((disk) => `${disk.disk_index}: ${formatBytes(disk.size_bytes)}${disk.mountable ? "" : " (not to be opened)"}`).join(", "),
      escapeText(backup.backup_id),
    ]),
  );
}

/** "@latest", "@-1" …; null for one that is not complete. */
function pointName(backup: Backup, all: readonly Backup[]): string | null {
  const back = completePoints(all).findIndex(({ backup_id }) => backup_id === backup.backup_id);
  return back < 0 ? null : back === 0 ? "@latest" : `@-${back}`;
}

function stateOf(type: string | undefined, status: string | undefined): string {
  if (type === undefined) return "-";
  return status === "completed" ? escapeText(type) : `${escapeText(type)} (${escapeText(status ?? "unknown")})`;
}
