import { lstatSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

/** What a protofile can't say: it separates by spaces, and knows neither sockets nor hard links. */
export function toProtoName(name: string): string {
  return name.replaceAll(" ", "_");
}

/**
 * Makes an XFS filesystem that holds a copy of a folder, without mounting it: also one that the kernel here doesn't
 * mount any more. Spaces in names become underscores.
 * @param options of mkfs.xfs
 */
export async function makeXfsFromTree(image: string, tree: string, options: readonly string[]): Promise<void> {
  const proto = `${image}.proto`;
  writeFileSync(proto, `/\n0 0\nd--755 0 0\n${describeFolder(tree)}$\n`);
  try {
    await execa("mkfs.xfs", ["-q", "-f", "--unsupported", "-l", "size=4m", ...options, "-p", proto, image]);
  } finally {
    rmSync(proto, { force: true });
  }
}

function describeFolder(folder: string): string {
  return readdirSync(folder).map((name) => describe(folder, name)).join("");
}

function describe(folder: string, name: string): string {
  const path = join(folder, name);
  const stat = lstatSync(path);
  const mode = (stat.mode & 0o777).toString(8).padStart(3, "0");
  const owner = `${stat.uid} ${stat.gid}`;
  const head = (type: string) => `${toProtoName(name)} ${type}--${mode} ${owner}`;
  if (stat.isDirectory()) return `${head("d")}\n${describeFolder(path)}$\n`;
  if (stat.isSymbolicLink()) return `${head("l")} ${readlinkSync(path)}\n`;
  // The path of the contents may hold no space either.
  return `${head("-")} ${path}\n`;
}
