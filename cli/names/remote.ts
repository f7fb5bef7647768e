import { Failure } from "../output/failure.ts";

/**
 * Remote names: `VM[@point]:disk/path`.
 *
 * | Part | Meaning |
 * |---|---|
 * | VM | the machine; `\@`, `\:` and `\\` stand for the characters themselves |
 * | @point | a restore point (point.ts); without it the latest that is complete |
 * | : | from here on inside the restore point |
 * | disk | `disk_index`; without it 0 |
 * | /path | as in the API: the first name is the volume, `%XX` is a byte of a name that is not UTF-8 |
 *
 * `VM` is the machine, `VM@point` or `VM:` its disks, `VM:0` or `VM:0/` the volumes of disk 0.
 */
export interface Remote {
  readonly vm: string;
  /** As written; undefined for the latest. */
  readonly point: string | undefined;
  /** undefined: the name stops before the colon, and means the machine or the restore point. */
  readonly disk: RemoteDisk | undefined;
}

export interface RemoteDisk {
  /** undefined: `VM:` names no disk yet. */
  readonly index: number | undefined;
  /** Begins with "/"; "/" for the volumes. */
  readonly path: string;
}

export interface RemoteContext {
  /** `--vm NAME`: names begin at the point, the colon or the disk. */
  readonly vm?: string | undefined;
  /** `--backup ID`: names begin at the disk. */
  readonly backup?: string | undefined;
}

/** A name whose machine is not known: `--backup` alone. */
export const anyVm = "";

/** @throws Failure `usage` with what is wrong and what a name looks like */
export function parseRemote(text: string, context: RemoteContext = {}): Remote {
  if (context.backup !== undefined) return { vm: context.vm ?? anyVm, point: context.backup, disk: parseDisk(text.replace(/^:/, ""), text) };
  if (context.vm !== undefined) {
    const named = /^[@:]/.test(text) ? text : text === "" ? "" : `:${text}`;
    return { ...split(named, text), vm: context.vm };
  }
  const remote = split(text, text);
  if (remote.vm === "") throw malformed(text, "it has no VM");
  return remote;
}

/** The name that parses to this. */
export function formatRemote({ vm, point, disk }: Remote): string {
  const machine = vm.replace(/[\\@:]/g, "\\$&");
  const at = point === undefined ? "" : `@${point.replace(/[\\:]/g, "\\$&")}`;
  if (disk === undefined) return `${machine}${at}`;
  return `${machine}${at}:${disk.index ?? ""}${disk.path === "/" ? "" : disk.path}`;
}

function split(text: string, whole: string): Remote {
  const [vm, atVm] = takePart(text, "@:", whole);
  let rest = text.slice(atVm);
  let point: string | undefined;
  if (rest.startsWith("@")) {
    const [value, end] = takePart(rest.slice(1), ":", whole);
    if (value === "") throw malformed(whole, "nothing follows the @");
    point = value;
    rest = rest.slice(1 + end);
  }
  return { vm, point, disk: rest === "" ? undefined : parseDisk(rest.slice(1), whole) };
}

/** Up to the first unescaped one of the ends: what it stands for, and where the end is. */
function takePart(text: string, ends: string, whole: string): [string, number] {
  let value = "";
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? "";
    if (character === "\\") {
      index += 1;
      if (index === text.length) throw malformed(whole, "nothing follows the last backslash");
      value += text[index];
    } else if (ends.includes(character)) {
      return [value, index];
    } else {
      value += character;
    }
  }
  return [value, text.length];
}

const maxDiskIndex = 255;

function parseDisk(text: string, whole: string): RemoteDisk {
  const slash = text.indexOf("/");
  const index = slash < 0 ? text : text.slice(0, slash);
  const path = slash < 0 ? "/" : text.slice(slash).replace(/\/+$/, "") || "/";
  if (index === "") return { index: slash < 0 ? undefined : 0, path };
  if (!/^\d{1,3}$/.test(index) || Number(index) > maxDiskIndex) {
    throw malformed(whole, `between : and / stands the number of a disk, not "${index}"`);
  }
  if (path.split("/").some((segment) => segment === ".." || segment === ".")) throw malformed(whole, `a path has no "." or ".."`);
  return { index: Number(index), path };
}

function malformed(text: string, why: string): Failure {
  return new Failure("usage", `"${text}" is no remote name: ${why}.`, "A remote name is VM[@point]:disk/path, such as pgtest1@2025-10-08:0/p2/etc/hosts.");
}
