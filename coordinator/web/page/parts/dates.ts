import { catalog } from "../text/catalog.ts";

const longDay = new Intl.DateTimeFormat(catalog.language, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat(catalog.language, { hour: "2-digit", minute: "2-digit", hour12: false });

/** "Thursday 9 October 2025". @param day "2025-10-09", by the clock of whoever looks */
export function formatDay(day: string): string {
  const [year, month, date] = day.split("-").map(Number);
  if (year === undefined || month === undefined || date === undefined || day === "") return catalog.vm.unknownDay;
  return longDay.format(new Date(year, month - 1, date)).replace(",", "");
}

/** "20:31" */
export function formatClock(timestamp: string | null): string {
  return timestamp === null ? catalog.vm.unknownTime : clock.format(new Date(timestamp));
}
