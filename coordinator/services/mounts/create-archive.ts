import { eq, inArray } from "drizzle-orm";
import { PluckError } from "../../../shared/errors.ts";
import { parseGuestPath } from "../../../shared/guest-path.ts";
import { type ArchiveFormat, defaultLinkLifeS, selectionUrl, signSelectionLink } from "../../../shared/link.ts";
import { describePaths, encodeSelection, hashSelection } from "../../../shared/selection.ts";
import type { Call, Context } from "../../context.ts";
import { backupJobs, restoreMounts } from "../../database/schema.ts";
import { getOpenMount } from "./get-mount.ts";
import { provideKeys } from "./issue-link.ts";
import { touchMount } from "./lease.ts";
import { recordEvent } from "./record-event.ts";

export interface ArchiveOrder {
  readonly format: ArchiveFormat;
  /** The file's name, with or without its ending. */
  readonly name?: string | undefined;
  readonly items: readonly { readonly mount_id: string; readonly path: string }[];
}

export interface CreatedArchive {
  readonly url: string;
  readonly selection: string;
  readonly expiresAt: Date;
}

type OpenMountRecord = Awaited<ReturnType<typeof getOpenMount>>;

/**
 * A link to one archive of what was picked, on one mount or several of the same agent. Written to the audit
 * trail, once for each mount, before it is handed out.
 * @throws PluckError invalid_request, mount_not_found, agent_offline, body_too_large
 */
export async function createArchive({ ctx, input }: Call<ArchiveOrder>): Promise<CreatedArchive> {
  const paths = pathsByMount(input.items);
  await assertOneAgent(ctx, [...paths.keys()]);
  const mounts: OpenMountRecord[] = [];
  for (const mountId of paths.keys()) mounts.push(await getOpenMount({ ctx, input: mountId }));
  const [first] = mounts;
  if (first === undefined) throw new PluckError("invalid_request", "items: is empty.");
  const name = withoutEnding(input.name ?? (await defaultName(ctx, mounts)), input.format);
  const selection = encodeSelection({
    name,
    mounts: mounts.map(({ row, disk }) => ({ mount_id: row.id, folder: `${disk.backupId}-disk-${String(disk.diskIndex)}`, paths: paths.get(row.id) ?? [] })),
  });
  const signer = await ctx.links.signer();
  for (const mount of mounts) await provideKeys(ctx, signer.keyId, mount);
  const claims = { agentId: first.row.agentId, format: input.format, selectionSha256: hashSelection(selection), user: ctx.actor.name };
  const { token, linkId, expiresAt } = await signSelectionLink(signer, claims, defaultLinkLifeS, ctx.clock.now());
  for (const { row, disk } of mounts) {
    const about = { backupId: disk.backupId, diskIndex: disk.diskIndex, mountId: row.id, agentId: row.agentId, linkId } as const;
    await recordEvent({ ctx, input: { type: "link_issued", ...about, operation: "archive", path: describePaths(paths.get(row.id) ?? []), outcome: "archive" } });
    await touchMount({ ctx, input: row });
  }
  return { url: selectionUrl(first.agent.publicUrl, token), selection, expiresAt };
}

function pathsByMount(items: ArchiveOrder["items"]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [index, { mount_id: mountId, path }] of items.entries()) {
    if (parseGuestPath(path) === undefined) throw new PluckError("invalid_request", `items.${String(index)}.path: is too long, or holds ".", ".." or a NUL byte as a name.`);
    const paths = found.get(mountId);
    if (paths === undefined) found.set(mountId, [path]);
    else paths.push(path);
  }
  return found;
}

/** One look at all, however many there are: what is not there need not be waited for. */
async function assertOneAgent(ctx: Context, mountIds: readonly string[]): Promise<void> {
  const rows = await ctx.db.select({ id: restoreMounts.id, agentId: restoreMounts.agentId }).from(restoreMounts).where(inArray(restoreMounts.id, [...mountIds]));
  const agentOf = new Map(rows.map(({ id, agentId }) => [id, agentId]));
  const missing = mountIds.find((id) => !agentOf.has(id));
  if (missing !== undefined) throw new PluckError("mount_not_found", `There is no open mount ${JSON.stringify(missing)}; it has ended, or never was.`, { extra: { mount_id: missing } });
  const byAgent = new Map<string, string[]>();
  for (const id of mountIds) {
    const agentId = agentOf.get(id) ?? "";
    byAgent.set(agentId, [...(byAgent.get(agentId) ?? []), id]);
  }
  if (byAgent.size <= 1) return;
  const where = [...byAgent].map(([agentId, ids]) => `${agentId} has ${ids.join(", ")}`).join("; ");
  throw new PluckError("invalid_request", `items: are of mounts on several agents, which can't be one archive: ${where}.`, { extra: { agents: Object.fromEntries(byAgent) } });
}

/** After the backup that all are of, else the VM, else the first VM. */
async function defaultName(ctx: Context, mounts: readonly OpenMountRecord[]): Promise<string> {
  const backupIds = [...new Set(mounts.map(({ disk }) => disk.backupId))];
  const [first = "pluck"] = backupIds;
  if (backupIds.length === 1) return first;
  const [job] = await ctx.db.select({ vmName: backupJobs.vmName }).from(backupJobs).where(eq(backupJobs.id, first)).limit(1);
  return job?.vmName ?? first;
}

function withoutEnding(name: string, format: ArchiveFormat): string {
  const ending = `.${format}`;
  return name.length > ending.length && name.toLowerCase().endsWith(ending) ? name.slice(0, -ending.length) : name;
}
