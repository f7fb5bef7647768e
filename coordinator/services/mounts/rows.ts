import { setTimeout as sleep } from "node:timers/promises";
import { and, eq, inArray, ne, sql } from "drizzle-orm";
import type { MountStatus } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import { databaseErrorCode, isDuplicateKey, type Queries } from "../../database/connect.ts";
import { agents, backupDisks, restoreMounts, type RestoreMountRow } from "../../database/schema.ts";
import { type MountEvent, nextStatus } from "./state.ts";

/** The only statements that change restore_mounts: compare-and-set, so that several coordinators do no harm. */

/** A cluster refuses one of two statements that met on different nodes; a single node one of two that locked crosswise. */
const conflicts = new Set(["ER_LOCK_DEADLOCK", "ER_LOCK_WAIT_TIMEOUT", "ER_CHECKREAD"]);
const maxConflictAttempts = 5;

/** Runs one statement, anew when it lost against another one: by itself it changed nothing then. */
async function withRetry<T>(statement: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await statement();
    } catch (error) {
      if (attempt === maxConflictAttempts || !conflicts.has(databaseErrorCode(error) ?? "")) throw error;
      await sleep(attempt * 10 * (1 + Math.random()));
    }
  }
}

/** What compare-and-set compares. */
export interface RowVersion {
  readonly id: string;
  readonly status: MountStatus;
  readonly generation: number;
}

export type RowChanges = Partial<
  Pick<
    RestoreMountRow,
    "nbdDevice" | "mountPath" | "filesystemType" | "volumes" | "sizeBytes" | "errorCode" | "errorDetail" | "commandDeadline" | "commandAttempts" | "lastAccessedAt" | "expiresAt"
  >
>;

export interface NewMount {
  readonly id: string;
  readonly backupDiskId: number;
  readonly agentId: string;
  readonly createdBy: string;
  readonly now: Date;
  readonly expiresAt: Date;
  readonly commandDeadline: Date;
}

/**
 * Inserts a row in `mounting`, claimed by the caller.
 * @returns undefined when the disk has a row already
 * @throws PluckError backup_not_found when the disk was deleted meanwhile
 */
export async function insertMounting(db: Queries, mount: NewMount): Promise<RowVersion | undefined> {
  const { now, ...values } = mount;
  try {
    await withRetry(async () =>
      await db.insert(restoreMounts).values({
        ...values,
        status: "mounting",
        generation: 1,
        stateChangedAt: now,
        commandAttempts: 1,
        createdAt: now,
        updatedAt: now,
        lastAccessedAt: now,
      }),
    );
    return { id: mount.id, status: "mounting", generation: 1 };
  } catch (error) {
    if (isDuplicateKey(error)) return undefined;
    if (databaseErrorCode(error) === "ER_NO_REFERENCED_ROW_2") throw new PluckError("backup_not_found", "The backup was deleted meanwhile.", { cause: error });
    throw error;
  }
}

/**
 * Takes the row one step along its life. A slot that another row of the agent still names is taken
 * from that row: the agent says whose it is.
 * @returns the row's new version ("gone" when it was deleted); undefined when it is no longer what the caller saw
 */
export async function changeRow(db: Queries, seen: RowVersion, event: MountEvent, now: Date, changes: RowChanges = {}): Promise<RowVersion | "gone" | undefined> {
  const status = nextStatus(seen.status, event);
  if (status === undefined) throw new RangeError(`a ${seen.status} mount can't be ${event}`);
  const same = and(eq(restoreMounts.id, seen.id), eq(restoreMounts.generation, seen.generation), eq(restoreMounts.status, seen.status));
  if (status === "gone") {
    const [result] = await withRetry(async () => await db.delete(restoreMounts).where(same));
    return result.affectedRows === 1 ? "gone" : undefined;
  }
  const generation = seen.generation + 1;
  const values = { ...changes, status, generation, updatedAt: now, ...(status === seen.status ? {} : { stateChangedAt: now }) };
  const [result] = await withRetry(async () => await db.update(restoreMounts).set(values).where(same));
  return result.affectedRows === 1 ? { id: seen.id, status, generation } : undefined;
}

/** The step to `mounted`, with the agent's slot. */
export async function markOpened(
  db: Queries,
  seen: RowVersion,
  agentId: string,
  now: Date,
  changes: RowChanges & { readonly nbdDevice: string },
): Promise<RowVersion | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const version = await changeRow(db, seen, "opened", now, { ...changes, commandDeadline: null, errorCode: null, errorDetail: null });
      return version === "gone" ? undefined : version;
    } catch (error) {
      // A row may take the slot again in between, but not for ever.
      if (!isDuplicateKey(error) || attempt === 5) throw error;
      await takeSlot(db, agentId, changes.nbdDevice, seen.id, now);
    }
  }
}

/** Takes an agent's slot from every other row that names it. */
async function takeSlot(db: Queries, agentId: string, nbdDevice: string, exceptId: string, now: Date): Promise<void> {
  const others = and(eq(restoreMounts.agentId, agentId), eq(restoreMounts.nbdDevice, nbdDevice), ne(restoreMounts.id, exceptId));
  await withRetry(async () => await db.update(restoreMounts).set({ nbdDevice: null, updatedAt: now }).where(others));
}

/** The agent says that an open mount has this slot. */
export async function adoptSlot(db: Queries, seen: RowVersion, agentId: string, nbdDevice: string, now: Date): Promise<void> {
  await takeSlot(db, agentId, nbdDevice, seen.id, now);
  const same = and(eq(restoreMounts.id, seen.id), eq(restoreMounts.generation, seen.generation), eq(restoreMounts.status, "mounted"));
  await withRetry(async () => await db.update(restoreMounts).set({ nbdDevice, updatedAt: now }).where(same));
}

/** The agent unlocked a volume of an open mount: what it holds is shown now. Nothing happens when the row has moved on. */
export async function setVolumes(db: Queries, seen: RowVersion, now: Date, changes: Pick<RowChanges, "volumes" | "filesystemType">): Promise<void> {
  const same = and(eq(restoreMounts.id, seen.id), eq(restoreMounts.generation, seen.generation), eq(restoreMounts.status, "mounted"));
  await withRetry(async () => await db.update(restoreMounts).set({ ...changes, updatedAt: now }).where(same));
}

/** Moves the deadline of a command that is still under way. */
export async function renewClaim(db: Queries, seen: RowVersion, commandDeadline: Date): Promise<boolean> {
  const same = and(eq(restoreMounts.id, seen.id), eq(restoreMounts.generation, seen.generation), eq(restoreMounts.status, seen.status));
  const [result] = await withRetry(async () => await db.update(restoreMounts).set({ commandDeadline }).where(same));
  return result.affectedRows === 1;
}

/** Slides leases: each only forward, all in one statement. */
export async function extendLeases(db: Queries, leases: readonly { readonly id: string; readonly accessedAt: Date; readonly expiresAt: Date }[]): Promise<void> {
  if (leases.length === 0) return;
  const byId = (pick: (lease: (typeof leases)[number]) => Date) =>
    sql`CASE ${restoreMounts.id} ${sql.join(leases.map((lease) => sql`WHEN ${lease.id} THEN ${toSql(pick(lease))}`), sql` `)} END`;
  const statement = db
    .update(restoreMounts)
    .set({
      lastAccessedAt: sql`GREATEST(${restoreMounts.lastAccessedAt}, ${byId((lease) => lease.accessedAt)})`,
      expiresAt: sql`GREATEST(${restoreMounts.expiresAt}, ${byId((lease) => lease.expiresAt)})`,
    })
    .where(and(inArray(restoreMounts.id, leases.map((lease) => lease.id)), inArray(restoreMounts.status, ["mounting", "mounted"])));
  await withRetry(async () => await statement);
}

/** A date as a DATETIME(3) literal in UTC: inside an expression the driver doesn't know the column's type. */
function toSql(date: Date) {
  return sql`CAST(${date.toISOString().slice(0, 23).replace("T", " ")} AS DATETIME(3))`;
}

/** A row with the disk it opens and the agent that holds it. */
export interface MountRecord {
  readonly row: RestoreMountRow;
  readonly disk: { readonly backupId: string; readonly diskIndex: number; readonly qcow2Path: string | null };
  readonly agent: { readonly publicUrl: string | null; readonly repositoryId: string; readonly lastSeenAt: Date | null };
}

export function selectMounts(db: Queries) {
  return db
    .select({
      row: restoreMounts,
      disk: { backupId: backupDisks.backupJobId, diskIndex: backupDisks.diskIndex, qcow2Path: backupDisks.qcow2Path },
      agent: { publicUrl: agents.publicUrl, repositoryId: agents.repositoryId, lastSeenAt: agents.lastSeenAt },
    })
    .from(restoreMounts)
    .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
    .innerJoin(agents, eq(agents.id, restoreMounts.agentId));
}

export async function findMount(db: Queries, mountId: string): Promise<MountRecord | undefined> {
  const [record] = await selectMounts(db).where(eq(restoreMounts.id, mountId)).limit(1);
  return record;
}

export async function findMountOfDisk(db: Queries, backupDiskId: number): Promise<MountRecord | undefined> {
  const [record] = await selectMounts(db).where(eq(restoreMounts.backupDiskId, backupDiskId)).limit(1);
  return record;
}
