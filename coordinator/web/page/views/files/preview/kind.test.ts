import { describe, expect, it } from "vitest";
import { previewKind } from "./kind.ts";

const bytes = (latin1: string): Uint8Array => Uint8Array.from(latin1, (character) => character.charCodeAt(0));

describe("how a file is shown", () => {
  it.each([
    ["\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"],
    ["\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"],
    ["GIF89a\x01\0\x01\0", "image/gif"],
    ["RIFF\x10\0\0\0WEBPVP8 ", "image/webp"],
    ["\0\0\0 ftypavif\0\0\0\0", "image/avif"],
    ["BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "image/bmp"],
    ["%PDF-1.4\n%\xe2\xe3", "application/pdf"],
    ['<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"],
  ])("%j is %s", (head, mediaType) => {
    expect(previewKind(bytes(head), false)).toMatchObject({ mediaType });
  });

  it.each([["BMW is a car maker\n", "text"], ["<!doctype html><svg>", "text"], ["<script>alert(1)</script>", "text"], ["", "text"], ["\x7fELF\x02\x01\x01\0", "hex"]])("%j as %s", (head, kind) => {
    expect(previewKind(bytes(head), true)).toEqual({ kind });
  });
});
