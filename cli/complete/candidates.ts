import { newestFirst, completePoints, timeOf } from "../names/point.ts";
import { escapeText } from "../names/escape.ts";
import { formatRemote, parseRemote, type Remote, type RemoteContext } from "../names/remote.ts";
import type { Session } from "../context.ts";

/** More are no help on a terminal. */
const maxCandidates = 500;

/** What a word that begins a remote name may become: VMs, restore points, disks, volumes and paths. */
export async function completeRemote(session: Session, word: string, context: RemoteContext): Promise<string[]> {
  if (context.vm === undefined && context.backup === undefined && !hasUnescaped(word, "@:")) return await completeVm(session, word);
  const isPoint = context.backup === undefined && !hasUnescaped(word, ":") && hasUnescaped(word, "@");
  if (isPoint) return await completePoint(session, word, context);
  const remote = parseRemote(word === "" ? ":" : word, context);
  if (remote.disk === undefined) return [];
  // What comes before the disk stays as it was typed.
  const colon = firstUnescaped(word, ":");
  const head = context.backup === undefined || colon === 0 ? word.slice(0, colon + 1) : "";
  const rest = word.slice(head.length);
  return rest.includes("/") ? await completePath(session, remote, head, rest) : await completeDisk(session, remote, head, rest);
}

async function completeVm({ coordinator }: Session, word: string): Promise<string[]> {
  const typed = word.replace(/\\(.)/g, "$1");
  const found: string[] = [];
  for await (const { vm_name } of coordinator.vms(typed === "" ? undefined : typed)) {
    if (vm_name.startsWith(typed) && escapeText(vm_name).replaceAll("\\\\", "\\") === vm_name) found.push(`${formatRemote({ vm: vm_name, point: undefined, disk: undefined })}:`);
    if (found.length >= maxCandidates) break;
  }
  return found;
}

async function completePoint({ catalog }: Session, word: string, context: RemoteContext): Promise<string[]> {
  const at = firstUnescaped(word, "@");
  const typed = word.slice(at + 1);
  const vm = context.vm ?? parseRemote(word.slice(0, at)).vm;
  const backups = newestFirst(await catalog.backups(vm));
  const complete = completePoints(backups);
  const days = new Set(complete.map((backup) => timeOf(backup).slice(0, 10)));
  const names = ["latest", ...complete.slice(1).map((_, index) => `-${index + 1}`), ...days, ...backups.map(({ backup_id }) => backup_id)];
  return names.filter((name) => name.startsWith(typed)).slice(0, maxCandidates).map((name) => `${word.slice(0, at)}@${name}:`);
}

async function completeDisk({ catalog }: Session, remote: Remote, head: string, typed: string): Promise<string[]> {
  const { backup } = await catalog.resolve(remote);
  return backup.disks.map(({ disk_index }) => String(disk_index)).filter((index) => index.startsWith(typed)).map((index) => `${head}${index}/`);
}

async function completePath(session: Session, remote: Remote, head: string, rest: string): Promise<string[]> {
  const slash = rest.lastIndexOf("/");
  const folder = rest.slice(0, slash);
  const typed = rest.slice(slash + 1);
  const firstSlash = rest.indexOf("/");
  const path = folder.slice(firstSlash) || "/";
  const resolved = await session.catalog.resolveDisk({ ...remote, disk: { index: remote.disk?.index ?? 0, path: slash === firstSlash ? "/" : path } });
  const { browser } = await session.open(resolved);
  const found: string[] = [];
  for await (const entry of browser.entries(resolved.path)) {
    const name = entry.path.slice(entry.path.lastIndexOf("/") + 1);
    // A name that a terminal must not be sent can't be completed.
    if (!name.startsWith(typed) || /[\p{C}\p{Zl}\p{Zp}]/u.test(name)) continue;
    found.push(`${head}${folder}/${name}${entry.type === "directory" ? "/" : ""}`);
    if (found.length >= maxCandidates) break;
  }
  return found;
}

function hasUnescaped(text: string, characters: string): boolean {
  return firstUnescaped(text, characters) >= 0;
}

function firstUnescaped(text: string, characters: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text[index] === "\\") index += 1;
    else if (characters.includes(text[index] ?? "")) return index;
  }
  return -1;
}
