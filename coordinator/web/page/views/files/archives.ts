import { call } from "../../api/client.ts";
import type { CreateLink, Mount } from "../../api/types.ts";
import { withoutNested, type BasketItem } from "../../state/basket.ts";
import { diskSession } from "./disk-session.ts";

export type ArchiveFormat = NonNullable<CreateLink["format"]>;
export const archiveFormats: readonly ArchiveFormat[] = ["zip", "tar", "tar.gz", "tar.zst"];

/** What POST /restore/archives answers: `selection` is posted to `url` as it is. */
interface CreatedArchive {
  readonly url: string;
  readonly selection: string;
  readonly expires_at: string;
}

export interface PreparedArchive extends CreatedArchive {
  /** With its ending. */
  readonly name: string;
}

/**
 * Has archives of what was chosen made ready: one for each agent, since the bytes come straight from
 * there. Disks that were closed meanwhile are opened again.
 * @param name without an ending @throws ApiError before anything is downloaded
 */
export async function prepareArchives(items: readonly BasketItem[], format: ArchiveFormat, name: string): Promise<PreparedArchive[]> {
  const wanted = withoutNested(items);
  const mounts = await openDisks(wanted);
  const byAgent = new Map<string, { mount_id: string; path: string }[]>();
  for (const item of wanted) {
    const mount = mounts.get(diskKey(item));
    if (mount === undefined) continue;
    const group = byAgent.get(mount.agent_id) ?? [];
    group.push({ mount_id: mount.mount_id, path: item.path });
    byAgent.set(mount.agent_id, group);
  }
  const isOne = byAgent.size === 1;
  return await Promise.all([...byAgent].map(async ([agentId, group]) => {
    const archiveName = isOne ? name : `${name}-${agentId}`;
    const created = await call<CreatedArchive>("/restore/archives", { method: "POST", body: { format, name: archiveName, items: group } });
    return { ...created, name: `${archiveName}.${format}` };
  }));
}

async function openDisks(items: readonly BasketItem[]): Promise<Map<string, Mount>> {
  const disks = new Map(items.map((item) => [diskKey(item), item]));
  return new Map(await Promise.all([...disks].map(async ([key, { backupId, diskIndex }]) => [key, await diskSession(backupId, diskIndex).reopen()] as const)));
}

function diskKey({ backupId, diskIndex }: Pick<BasketItem, "backupId" | "diskIndex">): string {
  return `${diskIndex}/${backupId}`;
}
