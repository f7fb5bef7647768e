import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { maxKeyBytes, toBase64 } from "./key-file.ts";

it.each([0, 1, 2, 3, 255, maxKeyBytes])("a key file of %s bytes is sent as base64", (length) => {
  const bytes = randomBytes(length);
  expect(toBase64(bytes)).toBe(bytes.toString("base64"));
});
