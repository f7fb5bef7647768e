import { byteStringToText } from "../filesystems/byte-string.ts";
import type { Timestamp } from "../filesystems/filesystem.ts";
import type { VolumeSummary } from "../../shared/messages.ts";
import type { ListedNode, NodeInfo } from "../reader/disk-reader.ts";

/** A name as a terminal may show it: control characters, which could steer it, are escaped. */
export function showName(name: string): string {
  return byteStringToText(name).replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** "drwxr-xr-x", as ls prints it. */
export function showMode(mode: number | undefined): string {
  if (mode === undefined) return "??????????";
  const type = new Map([[0o010000, "p"], [0o020000, "c"], [0o040000, "d"], [0o060000, "b"], [0o100000, "-"], [0o120000, "l"], [0o140000, "s"]]).get(mode & 0o170000) ?? "?";
  const bits = [6, 3, 0].map((shift, index) => {
    const special = (mode & [0o4000, 0o2000, 0o1000][index]!) !== 0;
    const execute = (mode & (1 << shift)) !== 0;
    const letter = index === 2 ? "t" : "s";
    const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? "x" : "-";
    return `${(mode & (4 << shift)) === 0 ? "-" : "r"}${(mode & (2 << shift)) === 0 ? "-" : "w"}${last}`;
  });
  return type + bits.join("");
}

/** "2026-01-31 12:00:00.123Z", with the digits that the disk stores. */
export function showTime(time: Timestamp | undefined): string {
  if (time === undefined) return "-";
  const date = new Date(time.seconds * 1000);
  const base = Number.isNaN(date.getTime()) ? `@${time.seconds}` : date.toISOString().slice(0, 19).replace("T", " ");
  const fraction = time.digits === 0 ? "" : `.${String(time.nanoseconds).padStart(9, "0").slice(0, time.digits)}`;
  return `${base}${fraction}Z`;
}

export function showSize(bytes: number | null): string {
  if (bytes === null) return "-";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function showNode(node: ListedNode): string[] {
  const target = node.symlinkTarget === undefined ? "" : ` -> ${showName(node.symlinkTarget)}`;
  const error = node.error === undefined ? "" : `  [${node.error.code}: ${showName(node.error.detail)}]`;
  return [
    showMode(node.mode),
    String(node.uid ?? "?"),
    String(node.gid ?? "?"),
    String(node.size ?? "?"),
    showTime(node.modifiedAt),
    `${showName(node.path.at(-1) ?? "/")}${target}${error}`,
  ];
}

export function showVolume(volume: VolumeSummary): string[] {
  const why = volume.error === null ? "" : `[${volume.error.code}: ${showName(volume.error.detail)}]`;
  return [showName(volume.name), volume.filesystem_type ?? "?", showSize(volume.size_bytes), volume.label === null ? "-" : showName(volume.label), volume.state ?? "-", why];
}

export function showInfo(path: string, info: NodeInfo): string[] {
  const lines: [string, string][] = [
    ["path", path],
    ["type", info.type],
    ["size", String(info.size ?? "?")],
    ["mode", `${showMode(info.mode)}${info.mode === undefined ? "" : ` (0${(info.mode & 0o7777).toString(8)})`}`],
    ["owner", `${info.uid ?? "?"}:${info.gid ?? "?"}`],
    ["links", String(info.linkCount ?? "?")],
    ["modified", showTime(info.modifiedAt)],
    ["accessed", showTime(info.accessedAt)],
    ["changed", showTime(info.changedAt)],
    ["created", showTime(info.createdAt)],
  ];
  if (info.symlinkTarget !== undefined) lines.push(["target", showName(info.symlinkTarget)]);
  if (info.deviceMajor !== undefined) lines.push(["device", `${info.deviceMajor}:${info.deviceMinor}`]);
  for (const [name, value] of info.xattrs) lines.push(["xattr", `${showName(name)} = ${Buffer.from(value).toString("base64")} (base64)`]);
  if (info.error !== undefined) lines.push(["error", `${info.error.code}: ${showName(info.error.detail)}`]);
  return lines.map(([name, value]) => `${name.padEnd(9)} ${value}`);
}

/** Aligns columns; the last one is left as it is. Numbers in `right` columns end at the same place. */
export function align(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, index) => {
        if (index === row.length - 1) return cell;
        const width = widths[index] ?? 0;
        return right.includes(index) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
}
