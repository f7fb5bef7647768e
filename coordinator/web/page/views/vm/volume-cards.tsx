import { useRef } from "preact/hooks";
import { listFolder } from "../../api/links.ts";
import type { Entry, Mount } from "../../api/types.ts";
import { useRowKeys } from "../../parts/row-keys.ts";
import { useLoad } from "../../state/load.ts";
import { hrefOf } from "../../state/route.ts";
import { catalog } from "../../text/catalog.ts";
import { VolumeCard } from "./volume-card.tsx";
import "../../style/catalog.css";

export interface VolumeCardsProps {
  readonly mount: Mount;
  readonly backupId: string;
  readonly diskIndex: number;
  /** With the mount as it is once a volume was unlocked. */
  readonly onUnlocked: (mount: Mount) => void;
}

/** What an open disk holds: the guest's own tree first, where there is one, then its volumes. For the path "/" of a disk. */
export function VolumeCards({ mount, backupId, diskIndex, onUnlocked }: VolumeCardsProps) {
  const list = useRef<HTMLUListElement>(null);
  useRowKeys(list);
  // The mount names its volumes; trees that join them stand in the listing only.
  const { state } = useLoad((signal) => listFolder(mount.mount_id, "/", { signal }), [mount.mount_id, mount.volumes]);
  const volumes = new Set(mount.volumes.map(({ path }) => path));
  const trees = state.value.value?.entries.filter(({ path }) => !volumes.has(path)) ?? [];
  return (
    <ul ref={list} class="cards volumes" aria-label={catalog.volumes.title}>
      {trees.map((tree) => <TreeCard key={tree.path} tree={tree} href={hrefOf({ view: "files", backupId, diskIndex, path: tree.path })} />)}
      {mount.volumes.map((volume) => (
        <VolumeCard key={volume.name} mountId={mount.mount_id} volume={volume} href={hrefOf({ view: "files", backupId, diskIndex, path: volume.path })} onUnlocked={onUnlocked} />
      ))}
    </ul>
  );
}

function TreeCard({ tree, href }: { tree: Entry; href: string }) {
  return (
    <li class="card card-opens">
      <div class="card-head">
        <h3><a class="card-link" data-row href={href}>{catalog.volumes.guest}</a></h3>
        <span class="mono quiet">{tree.path}</span>
      </div>
      <p class="quiet">{catalog.volumes.guestWhat}</p>
    </li>
  );
}
