import { PluckError } from "../../../shared/errors.ts";
import { parseGuestPath } from "../../../shared/guest-path.ts";
import { type AgentRoute, agentRoutes, type ArchiveFormat, defaultLinkLifeS, linkUrl, signLink } from "../../../shared/link.ts";
import type { Call, Context } from "../../context.ts";
import { getOpenMount } from "./get-mount.ts";
import { touchMount } from "./lease.ts";
import { sendMount } from "./open-on-agent.ts";
import { recordEvent } from "./record-event.ts";
import type { MountRecord } from "./rows.ts";

export interface LinkRequest {
  readonly mountId: string;
  readonly route: AgentRoute;
  /** As shared/guest-path.ts reads it. */
  readonly path: string;
  /** Only with `archive`. */
  readonly format?: ArchiveFormat;
  /** Only with `download`: the bytes of a volume. */
  readonly raw?: boolean;
  readonly lifeS?: number;
  /** Further parameters for the agent: recursive, limit, cursor, on_error. */
  readonly parameters?: Record<string, string | undefined>;
}

/**
 * A signed link to a mount's agent, for whoever holds it. Written to the audit trail before it is
 * handed out.
 * @throws PluckError invalid_request, mount_not_found, agent_offline
 */
export async function issueLink({ ctx, input }: Call<LinkRequest>): Promise<{ url: string; expiresAt: Date }> {
  const { mountId, route, path, format, raw = false, parameters = {} } = input;
  if (parseGuestPath(path) === undefined) throw new PluckError("invalid_request", 'path: is too long, or holds ".", ".." or a NUL byte as a name.');
  if (raw && parseGuestPath(path)?.length !== 1) throw new PluckError("invalid_request", "path: a raw download has exactly a volume as its path, as /p1.");
  const { row, disk, agent } = await getOpenMount({ ctx, input: mountId });
  const operation = agentRoutes[route];
  const claims = { agentId: row.agentId, mountId, operation, path, user: ctx.actor.name, ...(format === undefined ? {} : { format }), ...(raw ? { raw } : {}) };
  const signer = await ctx.links.signer();
  await provideKeys(ctx, signer.keyId, { row, disk });
  const { token, linkId, expiresAt } = await signLink(signer, claims, input.lifeS ?? defaultLinkLifeS, ctx.clock.now());
  await recordEvent({
    ctx,
    input: { type: "link_issued", backupId: disk.backupId, diskIndex: disk.diskIndex, mountId, agentId: row.agentId, linkId, operation, path, outcome: route },
  });
  await touchMount({ ctx, input: row });
  return { url: linkUrl(agent.publicUrl, mountId, route, { path, format, ...parameters, ...(raw ? { raw: "true" } : {}), token }), expiresAt };
}

/** Tells the mount's agent the key that signs: after a change of keys, or from a coordinator that did not open the mount itself. */
export async function provideKeys(ctx: Context, keyId: string, { row, disk }: Pick<MountRecord, "row" | "disk">): Promise<void> {
  if (ctx.mounts.sentKeys.get(row.id) === keyId || disk.qcow2Path === null) return;
  const order = { mountId: row.id, agentId: row.agentId, qcow2Path: disk.qcow2Path };
  await ctx.mounts.once(`keys:${row.id}`, async () => await sendMount(ctx, order)).outcome;
}
