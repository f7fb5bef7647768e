import { stripVTControlCharacters } from "node:util";

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** "512 B", "1.5 KiB", "102 GiB": three digits at most before a unit. */
export function formatBytes(bytes: number | string | null): string {
  if (bytes === null) return "-";
  let value = Number(bytes);
  let unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/** "2025-10-08 18:31:07" in UTC, from an ISO time; "-" for none. */
export function formatTime(time: string | null): string {
  const match = time === null ? null : /^([+-]?\d{4,})-(\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(time);
  return match === null ? "-" : `${match[1]}-${match[2]} ${match[3]}`;
}

/** "0:07", "12:05", "3:12:05". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = String(Math.floor(whole / 60) % 60);
  const rest = String(whole % 60).padStart(2, "0");
  return whole < 3600 ? `${minutes}:${rest}` : `${Math.floor(whole / 3600)}:${minutes.padStart(2, "0")}:${rest}`;
}

/** "1 file", "2 files". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** "90", "90s", "15m", "1h", "7d" in seconds; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * ({ "": 1, s: 1, m: 60, h: 3600, d: 86_400 }[match[2] ?? ""] ?? 1);
}

/** Type and permissions as `ls -l` shows them: "-rw-r--r--", "drwxr-x---", "lrwxrwxrwx". */
export function formatMode(type: string, mode: string | null): string {
  const letter = { directory: "d", symlink: "l", file: "-", fifo: "p", socket: "s", "character-device": "c", "block-device": "b" }[type] ?? "?";
  if (mode === null) return `${letter}?????????`;
  const bits = Number.parseInt(mode, 8);
  const triple = (shift: number, special: number, lower: string, upper: string): string => {
    const part = bits >> shift;
    const execute = (part & 1) === 1;
    return `${(part & 4) === 0 ? "-" : "r"}${(part & 2) === 0 ? "-" : "w"}${(bits & special) === 0 ? (execute ? "x" : "-") : execute ? lower : upper}`;
  };
  return letter + triple(6, 0o4000, "s", "S") + triple(3, 0o2000, "s", "S") + triple(0, 0o1000, "t", "T");
}

export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

/** Aligned columns under their titles, two spaces apart, nothing after the last. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = columns.some(({ title }) => title !== "") ? [columns.map(({ title }) => title), ...rows] : rows;
  const widths = columns.map((_, index) => lines.reduce((widest, line) => Math.max(widest, textWidth(line[index] ?? "")), 0));
  return lines
    .map((line) =>
      line
        .map((cell, index) => {
          const padding = " ".repeat((widths[index] ?? 0) - textWidth(cell));
          if (columns[index]?.right === true) return padding + cell;
          return index === line.length - 1 ? cell : cell + padding;
        })
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

const wide = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Cells on a terminal: East Asian characters and emoji take two, marks none. */
export function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of stripVTControlCharacters(text)) width += /\p{M}/u.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return width;
}
