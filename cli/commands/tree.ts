import type { Entry } from "../api/types.ts";
import { print, printJsonLine, withSession, type CommonOptions } from "../context.ts";
import { escapeBytes, escapeText } from "../names/escape.ts";
import { below, nameBytes, segmentBytes } from "../names/guest-name.ts";
import { formatRemote } from "../names/remote.ts";
import { count, formatBytes } from "../output/format.ts";

export interface TreeOptions extends CommonOptions {
  readonly depth?: number;
  readonly nul?: boolean;
}

/**
 * All below a folder, as it comes: people see an indented tree, `--json` one entry a line, `-0` the
 * raw paths below the folder, each ended by a NUL.
 */
export async function tree(name: string, options: TreeOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async (session) => {
    const resolved = await session.resolve(name);
    const { browser } = await session.open(resolved);
    // The entries say where they really are: the name may lead through a symlink.
    const { path: folder } = await browser.list(resolved.path, { limit: "1" });
    let files = 0;
    let folders = 0;
    let bytes = 0;
    let batch = "";
    if (!session.json && options.nul !== true) await print(`${escapeText(name)}\n`);
    for await (const entry of browser.entries(resolved.path, true)) {
      const segments = below(entry.path, folder) ?? [];
      if (options.depth !== undefined && segments.length > options.depth) continue;
      if (entry.type === "directory") folders += 1;
      else files += 1;
      if (entry.type === "file") bytes += Number(entry.size ?? 0);
      if (session.json) {
        await printJsonLine({ ...entry, remote: formatRemote({ ...resolved.remote, disk: { index: resolved.disk.disk_index, path: entry.path } }) });
      } else if (options.nul === true) {
        await print(Buffer.concat([segments.map(segmentBytes).reduce((path, segment) => (path.length === 0 ? segment : Buffer.concat([path, Buffer.from("/"), segment])), Buffer.alloc(0)), Buffer.alloc(1)]));
      } else {
        batch += `${"  ".repeat(segments.length)}${line(entry)}\n`;
        if (batch.length > 16_384) {
          await print(batch);
          batch = "";
        }
      }
    }
    if (!session.json && options.nul !== true) await print(`${batch}${count(folders, "folder")}, ${count(files, "file")}, ${formatBytes(bytes)}\n`);
  });
}

function line(entry: Entry): string {
  const name = `${escapeBytes(nameBytes(entry.path))}${entry.type === "directory" ? "/" : ""}`;
  const target = entry.symlink_target === undefined ? "" : ` -> ${escapeText(entry.symlink_target)}`;
  return `${name}${target}${entry.error === undefined ? "" : `  [${entry.error.code}: ${escapeText(entry.error.detail)}]`}`;
}
