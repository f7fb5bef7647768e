import { computed, effect, signal } from "@preact/signals";
import type { Entry } from "../api/types.ts";
import { isRefused, token } from "./session.ts";

/** As many as one archive may have. */
export const maxBasketItems = 10_000;
const storageKey = "pluck-basket";

/** By where it lies in the backups, not by mount: mounts come and go. */
export interface BasketItem {
  readonly backupId: string;
  readonly diskIndex: number;
  readonly path: string;
  readonly name: string;
  readonly type: Entry["type"];
  readonly size: Entry["size"];
}

/** What somebody gathers, across folders, volumes, disks and restore points. It lasts as long as the tab. */
export const basket = signal<readonly BasketItem[]>(readBasket());
/** Bytes of the files in it; what its folders hold is not known. */
export const basketBytes = computed(() => basket.value.reduce((sum, { type, size }) => sum + (type === "file" ? Number(size ?? 0) : 0), 0));
export const basketFolders = computed(() => basket.value.filter(({ type }) => type === "directory").length);

// Who signs out leaves nothing behind; who only has to sign in again finds it as it was.
effect(() => { if (token.value === null && !isRefused.value) emptyBasket(); });

export function keyOf({ backupId, diskIndex, path }: Pick<BasketItem, "backupId" | "diskIndex" | "path">): string {
  return `${backupId}/${diskIndex}${path}`;
}

/** @returns false, and nothing is added, when it would be too many */
export function addToBasket(items: readonly BasketItem[]): boolean {
  const all = new Map(basket.peek().map((item) => [keyOf(item), item]));
  for (const item of items) all.set(keyOf(item), item);
  if (all.size > maxBasketItems) return false;
  keep([...all.values()]);
  return true;
}

export function removeFromBasket(item: BasketItem): void {
  const key = keyOf(item);
  keep(basket.peek().filter((other) => keyOf(other) !== key));
}

export function emptyBasket(): void {
  keep([]);
}

/** Without what lies in a folder that is among them: an archive holds it already. */
export function withoutNested<T extends Pick<BasketItem, "backupId" | "diskIndex" | "path" | "type">>(items: readonly T[]): T[] {
  const folders = new Set(items.filter(({ type }) => type === "directory").map(keyOf));
  return items.filter((item) => {
    const place = keyOf({ ...item, path: "" });
    for (let slash = item.path.lastIndexOf("/"); slash > 0; slash = item.path.lastIndexOf("/", slash - 1)) {
      if (folders.has(place + item.path.slice(0, slash))) return false;
    }
    return true;
  });
}

function keep(items: readonly BasketItem[]): void {
  basket.value = items;
  try {
    sessionStorage.setItem(storageKey, JSON.stringify(items));
  } catch {
    // More than the browser stores: it lasts until the page is loaded anew.
  }
}

function readBasket(): readonly BasketItem[] {
  if (typeof sessionStorage === "undefined") return [];
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(storageKey) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isItem) : [];
  } catch {
    return [];
  }
}

function isItem(value: unknown): value is BasketItem {
  if (typeof value !== "object" || value === null) return false;
  const { backupId, diskIndex, path, name } = value as Partial<Record<keyof BasketItem, unknown>>;
  return typeof backupId === "string" && typeof diskIndex === "number" && typeof path === "string" && typeof name === "string";
}
