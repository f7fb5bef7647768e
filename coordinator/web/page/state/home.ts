import { signal } from "@preact/signals";

/** The origin at which the page works, when it was opened at another: agents answer pages of that one only. */
export const elsewhere = signal<string | null>(null);

const isLoopback = ({ hostname }: URL): boolean => hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname);

/**
 * What an address of the page is worth.
 * @param here the origin of the page as it was opened
 * @param home the origin of PLUCK_PUBLIC_URL; null when there is none
 * @returns "alias" for another name of this very machine, which leads to the same server
 */
export function judgeOrigin(here: string, home: string | null): "right" | "alias" | "wrong" {
  if (home === null || here === home || !URL.canParse(home) || !URL.canParse(here)) return "right";
  const [one, other] = [new URL(here), new URL(home)];
  if (one.origin === other.origin) return "right";
  return isLoopback(one) && isLoopback(other) && one.protocol === other.protocol && one.port === other.port ? "alias" : "wrong";
}

/** Asks where the page is at home; goes there from another name of this machine, else says so. */
export async function findHome(): Promise<void> {
  const response = await fetch("/page.json").catch(() => undefined);
  const answer: unknown = await response?.json().catch(() => undefined);
  const home = typeof answer === "object" && answer !== null && "origin" in answer && typeof answer.origin === "string" ? answer.origin : null;
  const worth = judgeOrigin(location.origin, home);
  if (worth === "alias") location.replace(`${home}/${location.hash}`);
  else elsewhere.value = worth === "wrong" ? home : null;
}
