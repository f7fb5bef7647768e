// Builds the page (npm run build) into coordinator/web/dist, unless what is there was built from the
// very same files. A running coordinator keeps what it has read at its start.
import { createHash } from "node:crypto";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const folder = import.meta.dirname;
const projectFolder = join(folder, "../..");
const distFolder = join(folder, "dist");
/** Names what the page was built from. */
const inputsFile = "inputs.sha256";

const inputs = await hashInputs();
if ((await readFile(join(distFolder, inputsFile), "utf8").catch(() => "")) !== inputs) await build();

async function build(): Promise<void> {
  // Only when needed: loading vite takes longer than all the rest.
  const vite = await import("vite");
  // Beside the old one, then renamed: two that build at once, or a build cut short, leave a whole page.
  const freshFolder = join(folder, `dist.${process.pid}`);
  const oldFolder = join(folder, `dist.${process.pid}.old`);
  try {
    await vite.build({ configFile: join(folder, "vite.config.ts"), build: { outDir: freshFolder, emptyOutDir: true } });
    await writeFile(join(freshFolder, inputsFile), inputs);
    await rename(distFolder, oldFolder).catch(ignoreMissing);
    await rename(freshFolder, distFolder).catch(ignoreMissing);
  } finally {
    await rm(freshFolder, { recursive: true, force: true });
    await rm(oldFolder, { recursive: true, force: true });
  }
}

/** Another build that ended first has put its own in place. */
function ignoreMissing(error: unknown): void {
  if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(String((error as NodeJS.ErrnoException).code))) throw error;
}

/** SHA-256 over all that goes into the page: its sources, its configuration, the versions of its packages. */
async function hashInputs(): Promise<string> {
  const sources = await readdir(join(folder, "page"), { recursive: true, withFileTypes: true });
  const files = [
    join(folder, "vite.config.ts"),
    join(projectFolder, "package-lock.json"),
    ...sources.filter((entry) => entry.isFile() && !entry.name.includes(".test.")).map((entry) => join(entry.parentPath, entry.name)),
  ].sort();
  const hash = createHash("sha256");
  for (const file of files) hash.update(file.slice(projectFolder.length)).update("\0").update(await readFile(file)).update("\0");
  return hash.digest("hex");
}
