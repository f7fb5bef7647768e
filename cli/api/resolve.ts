import { anyVm, formatRemote, type Remote } from "../names/remote.ts";
import { selectPoint } from "../names/point.ts";
import { Failure } from "../output/failure.ts";
import type { Coordinator } from "./coordinator.ts";
import type { Backup, BackupDisk } from "./types.ts";

/** A remote name whose restore point is known. */
export interface ResolvedRemote {
  readonly backup: Backup;
  /** The name with the id of its restore point: it means the same tomorrow. */
  readonly remote: Remote;
}

export interface ResolvedDisk extends ResolvedRemote {
  readonly disk: BackupDisk;
  readonly path: string;
}

/** Restore points are asked for once a VM and command. */
export class Catalog {
  readonly #coordinator: Coordinator;
  readonly #backups = new Map<string, Promise<Backup[]>>();

  constructor(coordinator: Coordinator) {
    this.#coordinator = coordinator;
  }

  /** All restore points of a VM, the newest first. @throws Failure backup_not_found when there are none */
  async backups(vm: string): Promise<Backup[]> {
    const asked = this.#backups.get(vm) ?? this.#coordinator.backups(vm);
    this.#backups.set(vm, asked);
    const backups = await asked;
    if (backups.length === 0) throw new Failure("backup_not_found", `There is no VM "${vm}" with restore points.`, "`pluck vms` lists the VMs.");
    return backups;
  }

  async resolve(remote: Remote): Promise<ResolvedRemote> {
    const backup =
      remote.vm === anyVm ? await this.#coordinator.backup(remote.point ?? "") : selectPoint(await this.backups(remote.vm), remote.point, remote.vm);
    return { backup, remote: { vm: backup.vm_name, point: backup.backup_id, disk: remote.disk } };
  }

  /** @throws Failure usage when the name has no disk, disk_not_found when the restore point hasn't */
  async resolveDisk(remote: Remote): Promise<ResolvedDisk> {
    const index = remote.disk?.index;
    if (remote.disk === undefined || index === undefined) {
      const name = formatRemote({ ...remote, disk: undefined });
      throw new Failure("usage", `"${name}" names no disk.`, `\`pluck ls ${name}\` lists them; then ${name}:0/….`);
    }
    const resolved = await this.resolve(remote);
    const disk = resolved.backup.disks.find(({ disk_index }) => disk_index === index);
    if (disk === undefined) {
      const known = resolved.backup.disks.map(({ disk_index }) => disk_index).join(", ");
      throw new Failure("disk_not_found", `Backup ${resolved.backup.backup_id} has no disk ${index}; its disks are ${known || "none"}.`);
    }
    return { ...resolved, disk, path: remote.disk.path };
  }
}
