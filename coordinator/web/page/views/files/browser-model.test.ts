import { describe, expect, it } from "vitest";
import type { Entry } from "../../api/types.ts";
import { BrowserModel } from "./browser-model.ts";

let folders = 0;

function modelOf(names: readonly string[], path = `/p1/folder-${folders++}`): BrowserModel {
  const entries = names.map((name): Entry => ({ name, path: `${path}/${name}`, type: "file", size: 1, mode: null, uid: null, gid: null, modified_at: null }));
  // As much of a folder as the model looks at.
  const folder = { path, place: { peek: () => path }, disk: { diskIndex: 0 }, entries, count: { value: entries.length } };
  return new BrowserModel(folder as unknown as ConstructorParameters<typeof BrowserModel>[0]);
}

const focusedName = (model: BrowserModel): string | undefined => model.focusedEntry?.name;

describe("the keyboard in a folder", () => {
  it("starts at the first entry and stays inside", () => {
    const model = modelOf(["b", "a", "c"]);
    model.settle();
    expect(focusedName(model)).toBe("a");
    expect([model.move("up", false, 10), model.move("last", false, 10), model.move("down", false, 10), model.move("pageUp", false, 10)]).toEqual([0, 2, 2, 0]);
  });

  it("chooses a range with Shift, and a shorter one on the way back", () => {
    const model = modelOf(["a", "b", "c", "d"]);
    model.settle();
    model.move("down", false, 1);
    for (let step = 0; step < 2; step += 1) model.move("down", true, 1);
    expect(model.selection.rows()).toEqual([1, 2, 3]);
    model.move("up", true, 1);
    expect(model.selection.rows()).toEqual([1, 2]);
    model.move("first", true, 1);
    expect(model.selection.rows()).toEqual([0, 1]);
  });

  it("jumps to words, and from one to the next with a letter typed again", () => {
    const model = modelOf(["alpha", "beta", "bravo", "brick", "Budget"]);
    model.settle();
    const typed = (letters: string, atMs: number): (string | undefined)[] => [...letters].map((letter, index) => (model.jump(letter, atMs + index), focusedName(model)));
    expect(typed("bri", 1000)).toEqual(["beta", "bravo", "brick"]);
    expect(typed("bbb", 9000)).toEqual(["Budget", "beta", "bravo"]);
    expect(model.jump("x", 20_000)).toBe(-1);
    expect(focusedName(model)).toBe("bravo");
  });

  it("finds the entry again that it had when the folder was left", () => {
    const first = modelOf(["a", "b", "c"], "/p1/again");
    first.settle();
    first.move("down", false, 1);
    const again = modelOf(["a", "b", "c"], "/p1/again");
    expect(again.settle()).toBe(1);
    const inside = modelOf(["x"], "/p1/again/c");
    inside.rememberWayUp();
    expect(modelOf(["a", "b", "c"], "/p1/again").settle()).toBe(2);
  });
});
