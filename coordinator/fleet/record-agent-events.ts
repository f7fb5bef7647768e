import { createHash } from "node:crypto";
import { and, eq, inArray } from "drizzle-orm";
import type { AgentEvent } from "../../shared/messages.ts";
import type { Database } from "../database/connect.ts";
import { backupDisks, restoreEvents, restoreMounts } from "../database/schema.ts";

/**
 * Takes an agent's report into the audit trail; a repeated one changes nothing. Which backup a mount
 * was of is known from its row, or from its first event when the row is gone.
 */
export async function recordAgentEvents(db: Database, agentId: string, events: readonly AgentEvent[]): Promise<void> {
  if (events.length === 0) return;
  const mountIds = [...new Set(events.map((event) => event.mount_id))];
  const fromTrail = await db
    .select({ mountId: restoreEvents.mountId, backupId: restoreEvents.backupId, diskIndex: restoreEvents.diskIndex })
    .from(restoreEvents)
    .where(and(inArray(restoreEvents.mountId, mountIds), inArray(restoreEvents.type, ["mount", "remount"]), eq(restoreEvents.agentId, agentId)));
  const fromRows = await db
    .select({ mountId: restoreMounts.id, backupId: backupDisks.backupJobId, diskIndex: backupDisks.diskIndex })
    .from(restoreMounts)
    .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
    .where(and(inArray(restoreMounts.id, mountIds), eq(restoreMounts.agentId, agentId)));
  const disks = new Map([...fromTrail, ...fromRows].map(({ mountId, backupId, diskIndex }) => [mountId, { backupId, diskIndex }]));
  await db
    .insert(restoreEvents)
    .ignore()
    .values(
      events.map((event) => ({
        eventId: eventIdOf(agentId, event.id),
        at: new Date(event.at),
        type: event.type,
        actor: event.user?.slice(0, 255) ?? null,
        ...(disks.get(event.mount_id) ?? {}),
        mountId: event.mount_id,
        agentId,
        linkId: event.link_id,
        operation: event.operation,
        path: event.path,
        bytes: event.bytes,
        outcome: event.outcome,
      })),
    );
}

/** Each agent has its own name space: none can take the id that another one's event has. */
function eventIdOf(agentId: string, id: string): string {
  return createHash("sha256").update(`${agentId}/${id}`).digest("hex");
}
