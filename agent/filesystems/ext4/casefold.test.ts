import { expect, test } from "vitest";
import { textToByteString } from "../byte-string.ts";
import { foldCase } from "./casefold.ts";

const fold = (text: string) => foldCase(textToByteString(text));

// Pairs from Unicode's CaseFolding.txt (statuses C and F) and NormalizationTest.txt.
test.each([
  ["README", "readme"],
  ["GRÖSSE", "größe"],
  ["Å", "A\u030a"],
  ["ΣΑΣ", "σας"],
  ["ﬁ", "FI"],
  ["soft\u00adhyphen", "softhyphen"],
])("%s and %s are one name", (left, right) => {
  expect(fold(left)).toBe(fold(right));
});

test.each([["a", "b"], ["e", "é"], ["İ", "i"]])("%s and %s are two names", (left, right) => {
  expect(fold(left)).not.toBe(fold(right));
});

test("a name that isn't UTF-8 has no folded form", () => {
  expect(foldCase("A\xff")).toBeUndefined();
});
