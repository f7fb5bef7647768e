import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { errorCodes } from "../shared/errors.ts";

const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));

async function sections(file: string): Promise<Map<string, string>> {
  const text = await readFile(join(projectFolder, file), "utf8");
  return new Map(
    text
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf("\n")).trim(), section.slice(section.indexOf("\n") + 1)]),
  );
}

describe("docs/errors.md", () => {
  it("has one section for every code, and none for a code that is gone", async () => {
    expect([...(await sections("docs/errors.md")).keys()].toSorted()).toEqual(Object.keys(errorCodes).toSorted());
  });

  it.each(Object.entries(errorCodes))("says of %s its status, cause and what to do", async (code, { status }) => {
    const section = (await sections("docs/errors.md")).get(code) ?? "";
    expect(section).toMatch(new RegExp(`^${status}\\b`));
    expect(section).toContain("**Cause:**");
    expect(section).toContain("**Do:**");
  });
});

describe("docs/api.md", () => {
  it("carries the reference of the schemas as they are (npm run docs:api)", async () => {
    const { exitCode, stderr } = await execa(process.execPath, [join(projectFolder, "deploy/docs/generate-api.ts"), "--check"], { reject: false });
    expect([exitCode, stderr]).toEqual([0, ""]);
  });
});

describe("documents", () => {
  it("name only npm scripts that exist", async () => {
    const { scripts } = JSON.parse(await readFile(join(projectFolder, "package.json"), "utf8")) as { scripts: Record<string, string> };
    for (const file of ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/api.md"]) {
      const text = await readFile(join(projectFolder, file), "utf8");
      for (const [, name = ""] of text.matchAll(/npm run (?:--silent )?([a-z][a-z:]*)/g)) expect(Object.keys(scripts), `${file}: npm run ${name}`).toContain(name);
    }
  });
});
