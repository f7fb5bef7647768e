import { describe, expect, it } from "vitest";
import { listCommand } from "./keys.ts";

const press = (key: string, held: Partial<Record<"ctrlKey" | "metaKey" | "altKey" | "shiftKey", boolean>> = {}) => listCommand({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

describe("keys of the list", () => {
  it("move, with Shift choosing on the way", () => {
    expect(press("ArrowDown")).toEqual({ kind: "move", to: "down", extend: false });
    expect(press("End", { shiftKey: true })).toEqual({ kind: "move", to: "last", extend: true });
  });

  it("jump to what is typed, whatever the script", () => {
    expect([press("x"), press("X", { shiftKey: true }), press("я"), press("🐘")]).toMatchObject([{ letter: "x" }, { letter: "X" }, { letter: "я" }, { letter: "🐘" }]);
  });

  it("leave the browser its own", () => {
    expect([press("c", { ctrlKey: true }), press("ArrowLeft", { altKey: true }), press("F5"), press("Tab"), press("Shift")]).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  it.each([["a", "all"], ["l", "path"]])("Ctrl+%s means %s, and so it does on a Mac", (key, kind) => {
    expect([press(key, { ctrlKey: true }), press(key, { metaKey: true })]).toEqual([{ kind }, { kind }]);
  });

  it.each([["Enter", "open"], ["Backspace", "parent"], [" ", "toggle"], ["/", "filter"], ["Escape", "clear"]])("%j means %s", (key, kind) => {
    expect(press(key)).toEqual({ kind });
  });
});
