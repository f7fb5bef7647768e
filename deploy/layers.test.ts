import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// The arrows of ARCHITECTURE.md are held by .oxlintrc.json. Here each is broken on purpose, in a
// tree made for it, so that a rule that no longer bites is noticed.

const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));

/** Importing file, what it imports. */
const forbidden: readonly (readonly [string, string])[] = [
  ["shared/forbidden.ts", "../agent/blocks/block-source.ts"],
  ["shared/forbidden.ts", "../coordinator/app.ts"],
  ["agent/main.ts", "../coordinator/app.ts"],
  ["agent/http/forbidden.ts", "../../coordinator/app.ts"],
  ["agent/http/forbidden.test.ts", "../../coordinator/app.ts"],
  ["coordinator/main.ts", "../agent/agent.ts"],
  ["shared/forbidden.ts", "../cli/main.ts"],
  ["agent/http/forbidden.ts", "../../cli/names/escape.ts"],
  ["coordinator/services/forbidden.ts", "../../cli/names/escape.ts"],
  ["cli/main.ts", "../agent/agent.ts"],
  ["cli/commands/forbidden.ts", "../../coordinator/app.ts"],
  ["cli/commands/forbidden.test.ts", "../../test/tools/environment.ts"],
  ["cli/commands/forbidden.ts", "../../deploy/start.ts"],
  ["cli/commands/forbidden.ts", "zod"],
  ["cli/commands/forbidden.ts", "@hono/zod-openapi"],
  ["coordinator/services/forbidden.ts", "../../agent/mounts/open-mount.ts"],
  ["coordinator/services/forbidden.test.ts", "../../agent/mounts/open-mount.ts"],
  ["agent/agent.ts", "../deploy/start.ts"],
  ["coordinator/app.ts", "../test/tools/environment.ts"],
  ["agent/blocks/forbidden.ts", "../nbd/nbd-source.ts"],
  ["agent/blocks/forbidden.ts", "../volumes/gpt.ts"],
  ["agent/blocks/forbidden.ts", "../filesystems/filesystem.ts"],
  ["agent/blocks/forbidden.ts", "../reader/disk-reader.ts"],
  ["agent/blocks/forbidden.ts", "node:fs"],
  ["agent/nbd/forbidden.ts", "../volumes/gpt.ts"],
  ["agent/nbd/forbidden.ts", "../filesystems/ext4/superblock.ts"],
  ["agent/nbd/forbidden.ts", "../reader/disk-reader.ts"],
  ["agent/volumes/forbidden.ts", "../nbd/nbd-source.ts"],
  ["agent/volumes/forbidden.ts", "../filesystems/ext4/superblock.ts"],
  ["agent/volumes/forbidden.ts", "../reader/disk-reader.ts"],
  ["agent/volumes/forbidden.ts", "node:fs/promises"],
  ["agent/filesystems/forbidden.ts", "../reader/disk-reader.ts"],
  ["agent/filesystems/ext4/forbidden.ts", "../../nbd/nbd-source.ts"],
  ["agent/filesystems/ext4/forbidden.ts", "../../volumes/volume.ts"],
  ["agent/filesystems/ext4/forbidden.ts", "../../mounts/open-mount.ts"],
  ["agent/filesystems/ext4/forbidden.ts", "../../http/server.ts"],
  ["agent/filesystems/ext4/forbidden.ts", "../../config.ts"],
  ["agent/filesystems/ext4/forbidden.ts", "node:fs"],
  ["agent/filesystems/ext4/forbidden.ts", "fs"],
  ["agent/filesystems/ext4/forbidden.ts", "node:fs/promises"],
  ["agent/filesystems/ext4/forbidden.ts", "node:net"],
  ["agent/filesystems/ext4/forbidden.ts", "node:http"],
  ["agent/filesystems/ext4/forbidden.ts", "node:child_process"],
  ["agent/filesystems/ext4/forbidden.ts", "execa"],
  ["agent/guest/forbidden.ts", "../reader/disk-reader.ts"],
  ["agent/guest/forbidden.ts", "../volumes/gpt.ts"],
  ["agent/guest/forbidden.ts", "../filesystems/ext4/superblock.ts"],
  ["agent/guest/forbidden.ts", "node:fs"],
  ["agent/filesystems/forbidden.ts", "../guest/open-guests.ts"],
  ["agent/volumes/forbidden.ts", "../guest/open-guests.ts"],
  ["agent/http/forbidden.ts", "../guest/open-guests.ts"],
  ["agent/reader/forbidden.ts", "../mounts/open-mount.ts"],
  ["agent/reader/forbidden.ts", "../export/qemu-nbd.ts"],
  ["agent/reader/forbidden.ts", "../http/server.ts"],
  ["agent/reader/forbidden.ts", "../main.ts"],
  ["agent/export/forbidden.ts", "../mounts/open-mount.ts"],
  ["agent/export/forbidden.ts", "../reader/disk-reader.ts"],
  ["agent/mounts/forbidden.ts", "../http/server.ts"],
  ["agent/mounts/forbidden.ts", "../commands.ts"],
  ["agent/mounts/forbidden.ts", "../commands/mount.ts"],
  ["agent/mounts/forbidden.ts", "../filesystems/ext4/superblock.ts"],
  ["agent/mounts/forbidden.ts", "../main.ts"],
  ["agent/http/forbidden.ts", "../commands.ts"],
  ["agent/http/forbidden.ts", "../main.ts"],
  ["agent/http/forbidden.ts", "../export/qemu-nbd.ts"],
  ["agent/commands/forbidden.ts", "../http/server.ts"],
  ["agent/commands.ts", "./http/server.ts"],
  ["agent/commands/forbidden.ts", "../main.ts"],
  ["coordinator/web/page/forbidden.ts", "node:fs"],
  ["coordinator/web/page/views/forbidden.tsx", "node:buffer"],
  ["coordinator/web/page/api/forbidden.ts", "../../../../shared/errors.ts"],
  ["coordinator/web/page/views/vm/forbidden.tsx", "../../../../../shared/api.ts"],
  ["coordinator/web/page/api/forbidden.ts", "../../../../agent/blocks/block-source.ts"],
  ["coordinator/web/page/api/forbidden.ts", "../../../../coordinator/config.ts"],
  ["coordinator/web/page/api/forbidden.ts", "../../../../cli/main.ts"],
  ["coordinator/web/page/api/forbidden.ts", "../../../../test/web/browser.ts"],
];

const allowed: readonly (readonly [string, string])[] = [
  ["agent/blocks/allowed.ts", "./block-source.ts"],
  ["agent/nbd/allowed.ts", "../blocks/block-source.ts"],
  ["agent/nbd/allowed.ts", "node:net"],
  ["agent/volumes/allowed.ts", "../filesystems/byte-string.ts"],
  ["agent/filesystems/ext4/allowed.ts", "../../blocks/block-source.ts"],
  ["agent/filesystems/ext4/allowed.ts", "../byte-string.ts"],
  ["agent/filesystems/ext4/allowed.ts", "node:zlib"],
  ["agent/reader/allowed.ts", "../filesystems/ext4/ext4.ts"],
  ["agent/guest/allowed.ts", "../filesystems/filesystem.ts"],
  ["agent/reader/allowed.ts", "../volumes/gpt.ts"],
  ["agent/reader/allowed.ts", "../guest/open-guests.ts"],
  ["agent/mounts/allowed.ts", "../reader/disk-reader.ts"],
  ["agent/mounts/allowed.ts", "../export/qemu-nbd.ts"],
  ["agent/http/allowed.ts", "../mounts/open-mount.ts"],
  ["agent/http/allowed.ts", "../../shared/errors.ts"],
  ["agent/commands/allowed.ts", "../mounts/open-mount.ts"],
  ["agent/main.ts", "./http/server.ts"],
  ["coordinator/services/allowed.ts", "../../shared/errors.ts"],
  ["cli/commands/allowed.ts", "../../shared/errors.ts"],
  ["cli/commands/allowed.ts", "node:fs"],
  ["coordinator/web/page/views/allowed.tsx", "../parts/format.ts"],
  ["coordinator/web/page/views/allowed.tsx", "preact/hooks"],
];

/** Types of what may not be imported otherwise. */
const allowedTypes: readonly (readonly [string, string])[] = [["coordinator/web/page/api/allowed-types.ts", "../../../../shared/api.ts"]];

/** What, the rule that says so, a file that does it, and where it stands. */
const banned: readonly (readonly [string, string, string, string?])[] = [
  ["any", "typescript(no-explicit-any)", "export const value: any = 1;\n"],
  ["@ts-ignore", "typescript(ban-ts-comment)", "// @ts-ignore: it is fine\nexport const value: string = 1;\n"],
  ["a focused test", "vitest(no-focused-tests)", 'import { it } from "vitest";\nit.only("runs alone", () => undefined);\n'],
  ["console in the product", "eslint(no-console)", 'export const hello = (): void => console.log("hello");\n'],
  ["text taken for markup in the page", "react(no-danger)", "export const Name = ({ name }: { name: string }) => <b dangerouslySetInnerHTML={{ __html: name }} />;\n", "coordinator/web/page/views/banned.tsx"],
];

const bannedFile = "agent/http/banned.ts";

let folder = "";
let complaints: ReadonlyMap<string, readonly string[]> = new Map();

/** Each case stands in a tree of its own: the cases share file names. */
const caseFolder = (name: string, index: number): string => `${name}-${index}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-layers-"));
  await cp(join(projectFolder, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  await Promise.all([
    ...forbidden.map(([file, specifier], index) => write(caseFile("forbidden", index, file), `import "${specifier}";\n`)),
    ...allowed.map(([file, specifier], index) => write(caseFile("allowed", index, file), `import "${specifier}";\n`)),
    ...allowedTypes.map(([file, specifier], index) => write(caseFile("types", index, file), `import type * as all from "${specifier}";\nexport type All = typeof all;\n`)),
    ...banned.map(([, , text, file = bannedFile], index) => write(caseFile("banned", index, file), text)),
  ]);
  complaints = await lint();
}, 30_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("layers", () => {
  it.each(forbidden.map(([file, specifier], index) => ({ file, specifier, index })))("$file may not import $specifier", ({ file, index }) => {
    expect(complaints.get(caseFile("forbidden", index, file))).toContain("eslint(no-restricted-imports)");
  });

  it.each(allowed.map(([file, specifier], index) => ({ file, specifier, index })))("$file may import $specifier", ({ file, index }) => {
    expect(complaints.get(caseFile("allowed", index, file))).toBeUndefined();
  });
});

describe("types", () => {
  it.each(allowedTypes.map(([file, specifier], index) => ({ file, specifier, index })))("$file may know those of $specifier", ({ file, index }) => {
    expect(complaints.get(caseFile("types", index, file))).toBeUndefined();
  });
});

describe("lint", () => {
  it.each(banned.map(([what, rule, , file = bannedFile], index) => ({ what, rule, file, index })))("refuses $what", ({ rule, file, index }) => {
    expect(complaints.get(caseFile("banned", index, file))).toContain(rule);
  });
});

function caseFile(kind: string, index: number, file: string): string {
  return join(caseFolder(kind, index), file);
}

/** The rules that each file broke, by its path. Overrides match from the configuration's folder on, so each case is a run of its own. */
async function lint(): Promise<Map<string, string[]>> {
  const byFile = new Map<string, string[]>();
  const cases = [
    ...forbidden.map((_, index) => caseFolder("forbidden", index)),
    ...allowed.map((_, index) => caseFolder("allowed", index)),
    ...allowedTypes.map((_, index) => caseFolder("types", index)),
    ...banned.map((_, index) => caseFolder("banned", index)),
  ];
  for (const name of cases) await cp(join(folder, ".oxlintrc.json"), join(folder, name, ".oxlintrc.json"));
  const { stdout } = await execa(join(projectFolder, "node_modules", ".bin", "oxlint"), ["--format", "json", "."], { cwd: folder, reject: false });
  const report = JSON.parse(stdout) as { diagnostics: { filename: string; code: string }[] };
  for (const { filename, code } of report.diagnostics) byFile.set(filename, [...(byFile.get(filename) ?? []), code]);
  return byFile;
}
