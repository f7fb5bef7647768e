import { randomUUID } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
  // Contents are named by a path, which may hold no space either.
  const contents = `${image}.contents`;
  mkdirSync(contents);
  try {
    writeFileSync(proto, `/\n0 0\nd--755 0 0\n${describeFolder(tree, contents)}$\n`);
    await execa("mkfs.xfs", ["-q", "-f", "--unsupported", ...(options.includes("size=65536") || options.includes("-l") ? [] : ["-l", "size=8m"]), ...options, "-p", proto, image]);
  } finally {
    rmSync(proto, { force: true });
    rmSync(contents, { recursive: true, force: true });
  }
}

function describeFolder(folder: string, contents: string): string {
  return readdirSync(folder).map((name) => describe(folder, name, contents)).join("");
}

function describe(folder: string, name: string, contents: string): string {
  const path = join(folder, name);
  const stat = lstatSync(path);
  const mode = (stat.mode & 0o777).toString(8).padStart(3, "0");
  const head = (type: string) => `${toProtoName(name)} ${type}--${mode} ${stat.uid} ${stat.gid}`;
  if (stat.isDirectory()) return `${head("d")}\n${describeFolder(path, contents)}$\n`;
  if (stat.isSymbolicLink()) return `${head("l")} ${readlinkSync(path)}\n`;
  const link = join(contents, randomUUID());
  symlinkSync(path, link);
  return `${head("-")} ${link}\n`;
}
