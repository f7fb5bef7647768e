import { computed, signal } from "@preact/signals";
import type { Entry } from "../../api/types.ts";
import type { Comparison } from "./compare.ts";
import type { Folder } from "./folder.ts";
import { FolderRows } from "./folder-rows.ts";
import { lastSegment, parentOf } from "./guest-paths.ts";
import type { ListCommand } from "./keys.ts";
import { Selection } from "./selection.ts";

/** Letters typed within this time are one word. */
const wordMs = 800;
/** By folder, the entry that had the keyboard when it was left. */
const lastFocused = new Map<string, string>();
/** More are forgotten. */
const maxRemembered = 500;

type Move = Extract<ListCommand, { kind: "move" }>["to"];

/** What a person does in one folder: which entry has the keyboard, which are chosen. */
export class BrowserModel {
  readonly folder: Folder;
  readonly rows: FolderRows;
  readonly selection = new Selection();
  /** The row with the keyboard; -1 for none. */
  readonly focused = signal(-1);
  readonly position = computed(() => this.rows.order.value.indexOf(this.focused.value));
  /** Where a range begins: a row. */
  #anchor = -1;
  #typed = "";
  #typedAt = 0;
  /** Name, as in paths, of the entry that shall have the keyboard once it is there. */
  #wanted: string | undefined;

  constructor(folder: Folder, wanted?: string) {
    this.folder = folder;
    this.rows = new FolderRows(folder);
    this.#wanted = wanted ?? lastFocused.get(this.#key(folder.path));
  }

  /** After entries came: the keyboard goes to the entry of last time, else to the first. @returns the position it went to */
  settle(): number | undefined {
    if (this.#wanted !== undefined) {
      const wanted = this.#wanted;
      const row = this.folder.entries.findIndex(({ path }) => lastSegment(path) === wanted);
      if (row >= 0) {
        this.#wanted = undefined;
        this.focused.value = row;
        return this.position.peek();
      }
    }
    if (this.focused.peek() < 0 && this.rows.order.peek().length > 0) this.focused.value = this.rows.order.peek()[0] ?? -1;
    return undefined;
  }

  /** The keyboard goes to this entry. @param name as in paths @returns its position, when it is there */
  want(name: string): number | undefined {
    this.#wanted = name;
    return this.settle();
  }

  /** Rows of entries that are gone come or go: what was chosen of them is chosen no more. */
  replaceComparison(comparison: Comparison | undefined): void {
    const { length } = this.folder.entries;
    const kept = this.selection.rows().filter((row) => row < length);
    if (kept.length < this.selection.size) this.selection.replace(kept);
    if (this.focused.peek() >= length) this.focused.value = -1;
    this.rows.comparison.value = comparison;
    this.settle();
  }

  get focusedEntry(): Entry | undefined {
    return this.focused.value < 0 ? undefined : this.rows.entryOf(this.focused.value);
  }

  move(to: Move, extend: boolean, pageRows: number): number {
    const last = this.rows.order.peek().length - 1;
    const from = this.position.peek();
    const steps: Record<Move, number> = { up: from - 1, down: from + 1, pageUp: from - pageRows, pageDown: from + pageRows, first: 0, last };
    return this.moveTo(Math.max(0, Math.min(last, from < 0 && to !== "last" ? 0 : steps[to])), extend);
  }

  /** Gives the keyboard to a position. @param extend chooses all from the anchor to there */
  moveTo(position: number, extend: boolean): number {
    const order = this.rows.order.peek();
    const row = order[position];
    if (row === undefined) return -1;
    this.#wanted = undefined;
    if (extend) {
      if (this.#anchor < 0) this.#anchor = this.focused.peek();
      const from = Math.max(0, order.indexOf(this.#anchor));
      this.selection.replace(order.subarray(Math.min(from, position), Math.max(from, position) + 1));
    } else {
      this.#anchor = row;
    }
    this.focused.value = row;
    this.#remember(row);
    return position;
  }

  toggle(row: number): void {
    if (row < 0) return;
    this.#anchor = row;
    this.selection.toggle(row);
  }

  chooseAll(): void {
    this.selection.replace(this.rows.order.peek());
  }

  /** The next entry whose name begins as it is typed. @returns its position; -1 for none */
  jump(letter: string, nowMs: number): number {
    this.#typed = nowMs - this.#typedAt > wordMs ? letter.toLowerCase() : this.#typed + letter.toLowerCase();
    this.#typedAt = nowMs;
    const order = this.rows.order.peek();
    // The same letter again and again goes from one to the next.
    const isRepeated = [...this.#typed].every((typed) => typed === letter.toLowerCase());
    const word = isRepeated ? letter.toLowerCase() : this.#typed;
    const from = this.position.peek() + (isRepeated ? 1 : 0);
    for (let step = 0; step < order.length; step += 1) {
      const position = (Math.max(0, from) + step) % order.length;
      if (this.rows.entryAt(position)?.name.toLowerCase().startsWith(word) === true) return this.moveTo(position, false);
    }
    return -1;
  }

  /** What an action is about: the chosen rows, or the one with the keyboard. */
  subjects(): number[] {
    if (this.selection.size > 0) return this.selection.rows();
    return this.focused.peek() < 0 ? [] : [this.focused.peek()];
  }

  /** Going up, the folder one comes from gets the keyboard. */
  rememberWayUp(): void {
    const place = this.folder.place.peek() ?? this.folder.path;
    remember(this.#key(parentOf(place)), lastSegment(place));
  }

  #remember(row: number): void {
    const entry = this.rows.entryOf(row);
    if (entry !== undefined) remember(this.#key(this.folder.path), lastSegment(entry.path));
  }

  #key(path: string): string {
    return `${this.folder.disk.diskIndex}${path}`;
  }
}

function remember(key: string, name: string): void {
  lastFocused.delete(key);
  lastFocused.set(key, name);
  const oldest = lastFocused.size > maxRemembered ? lastFocused.keys().next().value : undefined;
  if (oldest !== undefined) lastFocused.delete(oldest);
}
