import { expect, test } from "vitest";
import { byteStringToText } from "../byte-string.ts";
import { jolietName, plainName } from "./iso-name.ts";

test.each([
  ["README.TXT;1", "readme.txt"],
  ["README.;1", "readme"],
  ["README;1", "readme"],
  ["README.TXT;2", "readme.txt.2"],
  ["A/B;1", "a.b"],
  ["FILE.TXT", "file.txt"],
  ["END\0REST", "end"],
  ["DOTS..;1", "dots."],
])("shows the plain name %j as %j", (written, shown) => {
  expect(plainName(Buffer.from(written, "latin1"))).toBe(shown);
});

test.each([
  ["Read Me.txt;1", "Read Me.txt"],
  ["Read Me.txt", "Read Me.txt"],
  ["dots...", "dots"],
  ["dots..;1", "dots"],
  ["Zürich 日本 🍄;1", "Zürich 日本 🍄"],
  ["half \ud83c", "half \ufffd"],
  ["version;2", "version;2"],
  [".", "."],
])("shows the Joliet name %j as %j", (written, shown) => {
  const bytes = Buffer.from(written, "utf16le").swap16();
  expect(byteStringToText(jolietName(bytes))).toBe(shown);
});
