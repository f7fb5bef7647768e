import type { FileInfo } from "../api/types.ts";
import { print, printJson, withSession, type CommonOptions } from "../context.ts";
import { escapeText } from "../names/escape.ts";
import { formatRemote } from "../names/remote.ts";
import { formatBytes, formatMode } from "../output/format.ts";
import { shownName } from "./ls.ts";

export interface StatOptions extends CommonOptions {
  readonly hash?: boolean;
}

export async function stat(name: string, options: StatOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async (session) => {
    const resolved = await session.resolve(name);
    const { browser } = await session.open(resolved);
    const info = await browser.info(resolved.path, options.hash === true ? { hash: "sha256" } : {});
    const remote = formatRemote(resolved.remote);
    if (session.json) await printJson({ ...info, remote });
    else await print(`${lines(info, remote).map(([label, value]) => `${`${label}:`.padEnd(10)} ${value}`).join("\n")}\n`);
  });
}

function lines(info: FileInfo & { sha256?: string }, remote: string): [string, string][] {
  const shown: [string, string | undefined][] = [
    ["Name", info.path === "/" ? "/" : shownName(info)],
    ["Remote", escapeText(remote)],
    ["Type", info.type],
    ["Target", info.symlink_target === undefined ? undefined : escapeText(info.symlink_target)],
    ["Size", info.size === null ? undefined : `${info.size} (${formatBytes(info.size)})`],
    ["Mode", info.mode === null ? undefined : `${info.mode} ${formatMode(info.type, info.mode)}`],
    ["Owner", info.uid === null ? undefined : `${info.uid}:${info.gid}`],
    ["Links", info.hard_links === null ? undefined : String(info.hard_links)],
    ["Device", info.device === undefined ? undefined : `${info.device.major}:${info.device.minor}`],
    ["Modified", info.modified_at ?? undefined],
    ["Accessed", info.accessed_at ?? undefined],
    ["Changed", info.changed_at ?? undefined],
    ["Created", info.created_at ?? undefined],
    ["SHA-256", info.sha256],
    ["Error", info.error === undefined ? undefined : `${info.error.code}: ${escapeText(info.error.detail)}`],
    ...Object.entries(info.xattrs).map(([name, value]): [string, string] => ["Attribute", `${escapeText(name)} = ${attribute(value)}`]),
  ];
  return shown.filter((line): line is [string, string] => line[1] !== undefined);
}

/** Text where it is text, else its bytes in base64. */
function attribute(base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) && !/\p{Cc}/u.test(text.replace(/\0$/, "")) ? `"${escapeText(text.replace(/\0$/, ""))}"` : `base64 ${base64}`;
}
