import { common } from "../text/common.ts";

/** A size for people: "1.4 GiB". Exact sizes beyond 2^53 - 1 come as decimal strings. */
export function formatSize(bytes: number | string | null): string {
  if (bytes === null) return "";
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1023.95 && unit < common.bytes.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${common.bytes[unit] ?? ""}`;
}

/** All digits, in groups: "1,234,567". */
export function formatExact(value: number | string): string {
  return String(value).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** Local time to the minute: "2025-10-08 20:31". Sorts and reads the same everywhere. */
export function formatTime(timestamp: string | null | undefined): string {
  if (timestamp == null) return "";
  const date = new Date(timestamp);
  // Years beyond what Date can hold: as the filesystem has it.
  if (Number.isNaN(date.getTime())) return timestamp;
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A span for people: "42 s", "3 min", "1 h 05 min". @param seconds 0 or more */
export function formatSpan(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
