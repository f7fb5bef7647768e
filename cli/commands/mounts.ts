import { readKeyFile, askSecret, secretFromStdin } from "../settings/secret-input.ts";
import { note, print, printJson, withSession, type CommonOptions, type Session } from "../context.ts";
import { escapeText } from "../names/escape.ts";
import { segmentsOf } from "../names/guest-name.ts";
import { formatRemote } from "../names/remote.ts";
import { Failure } from "../output/failure.ts";
import { count, formatDuration, formatTable, parseDuration } from "../output/format.ts";
import type { Mount } from "../api/types.ts";

export async function mounts(options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async ({ coordinator, json }) => {
    const open = await coordinator.mounts();
    if (json) return await printJson({ mounts: open });
    if (open.length === 0) return await print("No open mounts.\n");
    await print(
      formatTable(
        [{ title: "MOUNT" }, { title: "BACKUP" }, { title: "DISK", right: true }, { title: "AGENT" }, { title: "STATUS" }, { title: "ENDS IN", right: true }],
        open.map((mount) => [mount.mount_id, escapeText(mount.backup_id), String(mount.disk_index), mount.agent_id, mount.status, formatDuration((Date.parse(mount.expires_at) - Date.now()) / 1000)]),
      ),
    );
  });
}

/** Opens disks and leaves them open. */
export async function mount(names: readonly string[], options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async (session) => {
    const opened: Mount[] = [];
    for (const name of names) {
      const resolved = await session.resolve(name);
      const { mount: one } = await session.open(resolved);
      session.mounts.keep(one);
      opened.push(one);
      if (!session.json) await print(`${one.mount_id}  ${escapeText(formatRemote({ ...resolved.remote, disk: { index: one.disk_index, path: "/" } }))}\n`);
    }
    if (session.json) await printJson({ mounts: opened });
  });
}

/** By the mount's id, or by the remote name of a disk. Ending one that is not open is no error. */
export async function umount(names: readonly string[], options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(options, signal, async (session) => {
    const ended: string[] = [];
    for (const name of names) {
      const id = await mountIdOf(session, name);
      if (id === undefined) continue;
      await session.coordinator.endMount(id);
      ended.push(id);
    }
    if (session.json) await printJson({ ended });
    else await print(`Ended ${count(ended.length, "mount")}.\n`);
  });
}

async function mountIdOf(session: Session, name: string): Promise<string | undefined> {
  if (/^mnt-[\w-]+$/.test(name) && session.options.vm === undefined && session.options.backup === undefined) return name;
  return (await session.resolve(name)).disk.mount_id;
}

export interface UnlockOptions extends CommonOptions {
  readonly passphraseStdin?: boolean;
  readonly keyFile?: string;
}

/** Opens an encrypted volume; the mount stays open, for the key is forgotten with it. */
export async function unlock(name: string, options: UnlockOptions, signal: AbortSignal): Promise<void> {
  if (options.passphraseStdin === true && options.keyFile !== undefined) throw new Failure("usage", "--passphrase-stdin and --key-file are two keys.", "Give one of them.");
  await withSession(options, signal, async (session) => {
    const resolved = await session.resolve(name);
    const [volumeName, ...more] = segmentsOf(resolved.path);
    if (volumeName === undefined || more.length > 0) throw new Failure("usage", `"${name}" names no volume.`, `Give one such as ${formatRemote({ ...session.parse(name), disk: { index: resolved.disk.disk_index, path: "/p3" } })}.`);
    const { mount: open } = await session.open(resolved);
    const volume = open.volumes.find((one) => one.name === volumeName);
    if (volume === undefined) throw new Failure("path_not_found", `There is no volume ${volumeName}; there are ${open.volumes.map((one) => one.name).join(", ") || "none"}.`);
    const state = volume.error?.code === "volume_locked" ? await session.coordinator.unlock(open.mount_id, { volume: volumeName, ...(await keyOf(name, options)) }) : open;
    session.mounts.keep(open);
    if (session.json) return await printJson(state);
    if (volume.error?.code !== "volume_locked") return await print(`${volume.path} is not locked.\n`);
    await print(`${volume.path} is unlocked until mount ${open.mount_id} ends: \`pluck umount ${open.mount_id}\`.\n`);
  });
}

async function keyOf(name: string, { passphraseStdin, keyFile }: UnlockOptions): Promise<{ passphrase: string } | { key: string }> {
  if (keyFile !== undefined) return { key: (await readKeyFile(keyFile)).toString("base64") };
  const passphrase = passphraseStdin === true ? await secretFromStdin() : await askSecret(`Passphrase for ${escapeText(name)}: `, "--passphrase-stdin or --key-file");
  if (passphrase === "") throw new Failure("usage", "The passphrase is empty.", "");
  return { passphrase };
}

export interface LinkOptions extends CommonOptions {
  readonly ttl?: string;
  readonly browse?: boolean;
  readonly archive?: string;
  readonly raw?: boolean;
}

/** A signed link to hand on; its mount stays open. */
export async function link(name: string, options: LinkOptions, signal: AbortSignal): Promise<void> {
  const ttl = options.ttl === undefined ? undefined : parseDuration(options.ttl);
  if (options.ttl !== undefined && ttl === undefined) throw new Failure("usage", `"${options.ttl}" is no time.`, "Give one such as 30m, 12h or 7d.");
  await withSession(options, signal, async (session) => {
    const resolved = await session.resolve(name);
    const { mount: open, browser } = await session.open(resolved);
    const { path } = resolved;
    const isFolder = options.raw !== true && (path === "/" || (await browser.info(path)).type === "directory");
    const request =
      options.browse === true
        ? { operation: "browse" }
        : isFolder || options.archive !== undefined
          ? { operation: "archive", format: options.archive ?? "zip" }
          : { operation: "download", ...(options.raw === true ? { raw: true } : {}) };
    const made = await session.coordinator.link(open.mount_id, { ...request, path, ...(ttl === undefined ? {} : { ttl_s: ttl }) });
    session.mounts.keep(open);
    if (session.json) return await printJson({ ...made, operation: request.operation, remote: formatRemote(resolved.remote), mount_id: open.mount_id });
    await print(`${made.url}\n`);
    note(`Good until ${made.expires_at}, as long as mount ${open.mount_id} is open.`);
  });
}
