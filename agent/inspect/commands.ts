import { once } from "node:events";
import type { Writable } from "node:stream";
import { formatGuestPath } from "../../shared/guest-path.ts";
import type { DiskReader, ListedNode, PathRequest } from "../reader/disk-reader.ts";
import { align, showInfo, showName, showNode, showVolume } from "./format.ts";

/** Entries asked for at a time. */
const pageLimit = 10_000;

/** Each writes to `out` and tells whether everything could be read. */
export const commands = {
  async ls(disk: DiskReader, request: PathRequest, out: Writable): Promise<boolean> {
    if (request.segments.length === 0) {
      for (const line of align(disk.volumes.map(showVolume), [2])) await write(out, `${line}\n`);
      return disk.volumes.every((volume) => volume.readable);
    }
    const info = await disk.info(request);
    if (info.type !== "directory" && info.type !== "symlink") {
      await write(out, `${align([showNode(info)])[0]}\n`);
      return info.error === undefined;
    }
    let sound = true;
    for await (const nodes of pages(disk, request, false)) {
      for (const line of align(nodes.map(showNode), [1, 2, 3])) await write(out, `${line}\n`);
      sound &&= nodes.every((node) => node.error === undefined);
    }
    return sound;
  },

  async tree(disk: DiskReader, request: PathRequest, out: Writable): Promise<boolean> {
    let sound = true;
    let depth: number | undefined;
    for await (const nodes of pages(disk, request, true)) {
      for (const node of nodes) {
        depth ??= node.path.length;
        const cells = showNode(node);
        const size = node.type === "file" ? `  (${cells[3]})` : "";
        await write(out, `${"  ".repeat(node.path.length - depth)}${cells[5]}${node.type === "directory" ? "/" : size}\n`);
        sound &&= node.error === undefined;
      }
    }
    return sound;
  },

  async stat(disk: DiskReader, request: PathRequest, out: Writable): Promise<boolean> {
    const info = await disk.info(request);
    for (const line of showInfo(showName(formatGuestPath(info.path)), info)) await write(out, `${line}\n`);
    return info.error === undefined;
  },

  async cat(disk: DiskReader, request: PathRequest, out: Writable): Promise<boolean> {
    const { size } = await disk.resolve(request);
    for await (const chunk of disk.read({ ...request, offset: 0, length: size })) await write(out, chunk);
    return true;
  },
} as const;

export type CommandName = keyof typeof commands;

async function* pages(disk: DiskReader, request: PathRequest, recursive: boolean): AsyncGenerator<readonly ListedNode[]> {
  let cursor: string | undefined;
  do {
    const page = await disk.list({ ...request, recursive, limit: pageLimit, ...(cursor === undefined ? {} : { cursor }) });
    yield page.nodes;
    cursor = page.next;
  } while (cursor !== undefined);
}

/** Thrown when nobody takes the output any more. */
export class OutputClosed extends Error {}

/** Waits while whoever reads the output doesn't. */
async function write(out: Writable, chunk: string | Uint8Array): Promise<void> {
  if (out.destroyed) throw new OutputClosed();
  if (out.write(chunk)) return;
  try {
    await once(out, "drain");
  } catch (error) {
    throw new OutputClosed("the output was closed", { cause: error });
  }
}
