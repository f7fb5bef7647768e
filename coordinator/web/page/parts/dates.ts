import { catalog } from "../text/catalog.ts";

const longDay = new Intl.DateTimeFormat(catalog.language, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat(catalog.language, { hour: "2-digit", minute: "2-digit", hour12: false });

/** "Thursday 9 October 2025". @param day "2025-10-09", by the clock of whoever looks */
export function formatDay(day: string): string {
  const [year, month, date] = day.split("-").map(Number);
  if (year === undefined || month === undefined || date === undefined || day === "") return catalog.vm.unknownDay;
  return longDay.format(new Date(year, month - 1, date)).replace(",", "");
}

/** "59:05", from an hour on "1:00:00". @param leftMs 0 or more */
export function formatCountdown(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000));
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}

/** "20:31" */
export function formatClock(timestamp: string | null): string {
  return timestamp === null ? catalog.vm.unknownTime : clock.format(new Date(timestamp));
}
