import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readStaticFiles, type StaticFile } from "./static-files.ts";

// Property: the page is small, needs nobody else's server, and can live under its strict content
// security policy; no text that comes from a guest can become markup in it.

const maxGzippedBytes = 150_000;
let folder: string;
let files: ReadonlyMap<string, StaticFile>;
let html: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-page-"));
  await build({ configFile: join(import.meta.dirname, "vite.config.ts"), build: { outDir: folder, emptyOutDir: true } });
  files = await readStaticFiles(folder);
  html = new TextDecoder().decode(files.get("/")?.bytes);
}, 60_000);

afterAll(async () => await rm(folder, { recursive: true, force: true }));

describe("the built page", () => {
  it("is small: all scripts and styles, gzipped", () => {
    const sizes = [...files].filter(([path]) => /\.(?:js|css)$/.test(path)).map(([, { gzipped }]) => gzipped.byteLength);
    expect(sizes.length).toBeGreaterThanOrEqual(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(maxGzippedBytes);
  });

  it("has no inline script, no inline style, no handler in an attribute", () => {
    const scripts = [...html.matchAll(/<script\b([^>]*)>([^]*?)<\/script>/g)];
    expect(scripts.length).toBeGreaterThan(0);
    for (const [, attributes, inline] of scripts) expect([attributes, inline]).toEqual([expect.stringMatching(/ src="\//), ""]);
    expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=|javascript:/i);
  });

  it("loads nothing from elsewhere", () => {
    for (const [, target] of html.matchAll(/(?:src|href)="([^"]*)"/g)) expect(target).toMatch(/^\/assets\//);
    for (const [path, { bytes }] of files) {
      if (path.endsWith(".css")) expect(new TextDecoder().decode(bytes)).not.toMatch(/@import|url\(/);
    }
  });
});

it("the page's sources never take text for markup or code", async () => {
  const entries = await readdir(join(import.meta.dirname, "page"), { recursive: true, withFileTypes: true });
  const sources = entries.filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name) && !entry.name.includes(".test."));
  expect(sources.length).toBeGreaterThan(20);
  const dangerous = /dangerouslySetInnerHTML|\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|createContextualFragment|parseFromString|setHTMLUnsafe|srcdoc|\beval\(|new Function\b|javascript:/i;
  for (const source of sources) {
    const text = await readFile(join(source.parentPath, source.name), "utf8");
    expect([source.name, dangerous.exec(text)?.[0]]).toEqual([source.name, undefined]);
  }
});
