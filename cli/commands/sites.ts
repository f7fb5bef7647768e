import { note, print, printJson, withSession, type CommonOptions } from "../context.ts";
import type { ScanResult } from "../api/types.ts";
import { escapeText } from "../names/escape.ts";
import { exitCodes, Failure } from "../output/failure.ts";
import { count, formatBytes, formatTable, formatTime } from "../output/format.ts";

export async function agents(options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async ({ coordinator, json }) => {
    const [known, repositories] = await Promise.all([coordinator.agents(), coordinator.repositories()]);
    if (json) return await printJson({ agents: known, repositories });
    const names = new Map(repositories.map(({ id, name }) => [id, name]));
    const rows = known.map((agent) => [
      escapeText(agent.id),
      escapeText(agent.repository_id),
      escapeText(names.get(agent.repository_id) ?? ""),
      agent.online ? "online" : "offline",
      formatTime(agent.last_seen_at),
      `${agent.slots_used}/${agent.slots_total}`,
      agent.version ?? "-",
    ]);
    const lonely = repositories.filter(({ id }) => !known.some((agent) => agent.repository_id === id));
    await print(
      formatTable(
        [{ title: "AGENT" }, { title: "REPOSITORY" }, { title: "NAME" }, { title: "STATE" }, { title: "LAST SEEN (UTC)" }, { title: "SLOTS", right: true }, { title: "VERSION" }],
        [...rows, ...lonely.map(({ id, name }) => ["-", escapeText(id), escapeText(name), "no agent", "-", "-", "-"])],
      ),
    );
  });
}

export interface EventOptions extends CommonOptions {
  readonly type?: string;
  readonly actor?: string;
  readonly mount?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
}

export async function events(options: EventOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async ({ coordinator, json }) => {
    const { type, actor, mount: mount_id, backup: backup_id } = options;
    const found = await coordinator.events({ type, actor, mount_id, backup_id, since: toTime(options.since), until: toTime(options.until) }, options.limit);
    if (json) return await printJson({ events: found });
    await print(
      formatTable(
        [{ title: "AT (UTC)" }, { title: "EVENT" }, { title: "BY" }, { title: "OUTCOME" }, { title: "BYTES", right: true }, { title: "WHAT" }],
        found.map((event) => [
          formatTime(event.at),
          escapeText(event.type),
          escapeText(event.actor ?? "-"),
          escapeText(event.outcome ?? "-"),
          formatBytes(event.bytes),
          escapeText([event.backup_id === null ? undefined : `${event.backup_id}${event.disk_index === null ? "" : `:${event.disk_index}`}`, event.path ?? undefined].filter((part) => part !== undefined).join("")),
        ]),
      ),
    );
  });
}

/** A day stands for its beginning, in UTC. */
function toTime(text: string | undefined): string | undefined {
  return text !== undefined && /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
}

export interface RegisterOptions extends CommonOptions {
  readonly repository: string;
  readonly disk: readonly string[];
  readonly id?: string;
  readonly type?: string;
  readonly completedAt?: string;
}

/** Registers one restore point: `--disk [INDEX=]PATH`, in order from 0 where no index is given. */
export async function register(vm: string, options: RegisterOptions, signal: AbortSignal): Promise<void> {
  const disks = options.disk.map((text, index) => {
    const [, given, path = ""] = /^(?:(\d{1,3})=)?(.*)$/s.exec(text) ?? [];
    if (path === "") throw new Failure("usage", `"${text}" names no file.`, "--disk takes [INDEX=]PATH, relative to the repository.");
    return { disk_index: given === undefined ? index : Number(given), qcow2_path: path };
  });
  await withSession({ ...options }, signal, async ({ coordinator, json }) => {
    const { status, body } = await coordinator.call("POST", "/backups", {
      vm_name: vm,
      repository_id: options.repository,
      disks,
      ...(options.id === undefined ? {} : { backup_id: options.id }),
      ...(options.type === undefined ? {} : { backup_type: options.type }),
      ...(options.completedAt === undefined ? {} : { completed_at: options.completedAt }),
    });
    if (json) return await printJson(body);
    const { backup_id } = body as { backup_id: string };
    await print(status === 201 ? `Registered ${backup_id}.\n` : `${backup_id} was registered already.\n`);
  });
}

/** Scans one repository, or all. A repository that can't be scanned doesn't keep the others from it. */
export async function scan(repository: string | undefined, options: CommonOptions, signal: AbortSignal): Promise<number> {
  return await withSession(options, signal, async ({ coordinator, json }) => {
    const ids = repository === undefined ? (await coordinator.repositories()).map(({ id }) => id) : [repository];
    const scans: ScanResult[] = [];
    const failures: { repository_id: string; error: { code: string; detail: string } }[] = [];
    for (const id of ids) {
      try {
        scans.push(await coordinator.scan(id));
      } catch (error) {
        if (!(error instanceof Failure) || ids.length === 1 || signal.aborted) throw error;
        failures.push({ repository_id: id, error: { code: error.code, detail: error.message } });
      }
    }
    if (json) await printJson({ scans, failures });
    else await print(scans.map(describeScan).join(""));
    for (const { repository_id, error } of failures) note(`pluck: ${error.code}: ${repository_id}: ${error.detail}`);
    return failures.length === 0 ? exitCodes.ok : exitCodes.failed;
  });
}

function describeScan({ repository_id, registered, already_known, problems, truncated }: ScanResult): string {
  const lines = [
    `${repository_id}: ${count(registered.length, "new restore point")}, ${already_known} known, ${count(problems.length, "problem")}${truncated ? "; not all was looked at" : ""}`,
    ...registered.map((id) => `  + ${escapeText(id)}`),
    ...problems.map(({ qcow2_path, code, detail }) => `  ! ${escapeText(qcow2_path)}: ${code}: ${escapeText(detail)}`),
  ];
  return `${lines.join("\n")}\n`;
}
