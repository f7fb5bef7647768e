import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "./run-tool.ts";
import type { Tree, TreeEntry } from "./tree.ts";

/** Where an ext4 filesystem lies in a raw file. */
export interface Ext4Place {
  readonly rawFile: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface Ext4Options {
  readonly label: string;
  readonly uuid: string;
  /** The guest's clock when the filesystem was made. */
  readonly madeAtMs: number;
}

/** Makes an ext4 filesystem that holds `tree`, without mounting it: an ordinary user can. */
export async function makeExt4(place: Ext4Place, tree: Tree, options: Ext4Options, scratchFolder: string): Promise<void> {
  const source = await mkdtemp(join(scratchFolder, "tree-"));
  tree.writeTo(source);
  const extended = `offset=${place.offsetBytes},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,hash_seed=${options.uuid}`;
  await runTool(
    "mke2fs",
    ["-q", "-F", "-t", "ext4", "-L", options.label, "-U", options.uuid, "-J", "size=64", "-E", extended, "-d", source, place.rawFile, `${place.sizeBytes / 1024}k`],
    { environment: { E2FSPROGS_FAKE_TIME: seconds(options.madeAtMs), SOURCE_DATE_EPOCH: seconds(options.madeAtMs) } },
  );
  await rm(source, { recursive: true });
  await changeExt4(place, await attributeCommands(tree.entries, scratchFolder), options.madeAtMs, scratchFolder);
}

/** Runs debugfs commands, as bytes, on the filesystem; throws when one of them complains. */
export async function changeExt4(place: Ext4Place, commands: readonly Buffer[], atMs: number, scratchFolder: string): Promise<void> {
  const script = join(scratchFolder, `debugfs-${commands.length}-${place.offsetBytes}`);
  await writeFile(script, Buffer.concat(commands.flatMap((command) => [command, Buffer.from("\n")])));
  // debugfs exits 0 whatever happens in a script: what it says tells.
  const { stdout, stderr } = await runTool("debugfs", ["-w", "-f", script, `${place.rawFile}?offset=${place.offsetBytes}`], {
    environment: { E2FSPROGS_FAKE_TIME: seconds(atMs), DEBUGFS_PAGER: "cat" },
  });
  const echoed = /^(debugfs[: ]|Allocated inode: )/;
  const complaints = [...stderr.split("\n"), ...stdout.split("\n")].filter((line) => line !== "" && !echoed.test(line));
  if (complaints.length > 0) throw new Error(`debugfs on ${place.rawFile}: ${complaints.slice(0, 3).join("; ")}`);
  await rm(script);
}

/** Commands that give entries their owner, mode, times and extended attributes; device nodes and fifos are made first. */
export async function attributeCommands(entries: readonly TreeEntry[], scratchFolder: string): Promise<Buffer[]> {
  const commands: Buffer[] = [];
  let valueCount = 0;
  for (const entry of entries) {
    if (entry.content.kind === "hardlink") continue;
    const path = quoted(entry.path);
    commands.push(...makeNode(entry));
    commands.push(...inodeFields(entry).map(([field, value]) => Buffer.concat([Buffer.from("set_inode_field "), path, Buffer.from(` ${field} ${value}`)])));
    for (const [name, value] of entry.xattrs) {
      const file = join(scratchFolder, `xattr-${process.pid}-${valueCount}`);
      valueCount += 1;
      await writeFile(file, value);
      commands.push(Buffer.concat([Buffer.from("ea_set -f "), quoted(Buffer.from(file)), Buffer.from(" "), path, Buffer.from(` ${name}`)]));
    }
  }
  return commands;
}

function makeNode({ path, content }: TreeEntry): Buffer[] {
  if (content.kind === "fifo") return [...inParent(path, (name) => Buffer.concat([Buffer.from("mknod "), name, Buffer.from(" p")]))];
  if (content.kind !== "device") return [];
  return inParent(path, (name) => Buffer.concat([Buffer.from("mknod "), name, Buffer.from(` ${content.type} ${content.major} ${content.minor}`)]));
}

/** mknod, write and mkdir of debugfs take a bare name in the current folder. */
export function inParent(path: Buffer, command: (name: Buffer) => Buffer): Buffer[] {
  const cut = path.lastIndexOf(0x2f);
  const parent = cut === 0 ? Buffer.from("/") : path.subarray(0, cut);
  return [Buffer.concat([Buffer.from("cd "), quoted(parent)]), command(quoted(path.subarray(cut + 1))), Buffer.from("cd /")];
}

/** A debugfs argument: in double quotes, a double quote doubled. */
export function quoted(bytes: Buffer): Buffer {
  return Buffer.from(`"${bytes.toString("latin1").replaceAll('"', '""')}"`, "latin1");
}

function inodeFields(entry: TreeEntry): [string, string][] {
  const type = { file: 0o100000, directory: 0o040000, symlink: 0o120000, device: 0, fifo: 0o010000, hardlink: 0 }[entry.content.kind];
  const typeBits = entry.content.kind === "device" ? (entry.content.type === "c" ? 0o020000 : 0o060000) : type;
  const time = `@${seconds(entry.modifiedAtMs)}`;
  // The high 30 bits of an "extra" field are nanoseconds; below the millisecond they are made from the path.
  const nanoseconds = (((entry.modifiedAtMs % 1000) + 1000) % 1000) * 1_000_000 + (entry.path.reduce((sum, byte) => (sum * 31 + byte) % 1_000_000, 7) | 0);
  const extra = String(nanoseconds * 4);
  return [
    ["mode", `0${(typeBits | entry.mode).toString(8)}`],
    ["uid", String(entry.uid)],
    ["gid", String(entry.gid)],
    ["atime", time],
    ["ctime", time],
    ["crtime", time],
    ["mtime", time],
    ["mtime_extra", extra],
  ];
}

function seconds(ms: number): string {
  return String(Math.floor(ms / 1000));
}
