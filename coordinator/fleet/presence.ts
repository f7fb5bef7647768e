import { and, eq, isNotNull, isNull, lt, or, sql } from "drizzle-orm";
import type { Logger } from "pino";
import type { AgentStatus, Heartbeat } from "../../shared/messages.ts";
import type { Clock } from "../context.ts";
import type { Database } from "../database/connect.ts";
import { agents } from "../database/schema.ts";
import type { BoundedLog } from "./bounded-log.ts";

/**
 * Who is online: in the table agents for all coordinators, and in memory for quick answers. Any
 * coordinator may write any agent's presence, by compare-and-set on the session: each start of an
 * agent is a session of its own, and the last will of an older one changes nothing.
 */
export interface PresenceOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: BoundedLog;
  readonly onBack: (agentId: string) => void;
  readonly onGone: (agentId: string) => void;
}

interface Known {
  session: string | null;
  isOnline: boolean;
  heardAtMs: number;
  /** Milliseconds between its heartbeats, by its own clock. */
  intervalMs: number;
  /** By its own clock. */
  sentAtMs: number;
  /** How far its clock is ahead of ours, as its last heartbeat showed. */
  clockOffsetMs: number;
  /** When this process last learned something of it itself, by performance.now(). */
  changedAtMs: number;
}

/** An agent that misses three heartbeats is offline; also one with short intervals gets this much. */
const minSilenceMs = 20_000;
const missedHeartbeats = 3;
/** An older heartbeat within this is a late one; beyond it the agent's clock was set back. */
const lateMs = 60_000;
/** Links live for minutes; beyond this somebody should set a clock. */
const worryingOffsetMs = 30_000;
/** Far above any fleet: senders make up ids at no cost. */
const maxRemembered = 10_000;

export class Presence {
  readonly #options: PresenceOptions;
  readonly #known = new Map<string, Known>();
  /** Announcements that could not be written, because the database was away as they came. */
  readonly #unwritten = new Map<string, AgentStatus>();

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  isOnline(agentId: string): boolean {
    return this.#known.get(agentId)?.isOnline ?? false;
  }

  /** How far the agent's clock is ahead of ours; 0 while the difference may be the way of the message. */
  clockOffsetMs(agentId: string): number {
    const offsetMs = this.#known.get(agentId)?.clockOffsetMs ?? 0;
    return Math.abs(offsetMs) < 2000 ? 0 : offsetMs;
  }

  /** Takes over what the table says of agents that this process has not heard itself. */
  async load(): Promise<void> {
    const { db, clock } = this.#options;
    const begunAtMs = performance.now();
    const rows = await db.select({ id: agents.id, session: agents.session, online: agents.online }).from(agents).where(isNotNull(agents.session));
    for (const { id, session, online } of rows) {
      const known = this.#known.get(id);
      if (known === undefined) {
        this.#known.set(id, { session, isOnline: online, heardAtMs: clock.now().getTime(), intervalMs: 0, sentAtMs: 0, clockOffsetMs: 0, changedAtMs: begunAtMs });
      } else if (known.isOnline !== online && known.changedAtMs < begunAtMs) {
        // Another coordinator heard what this one missed.
        known.isOnline = online;
        if (online) known.heardAtMs = clock.now().getTime();
      }
    }
  }

  /** @returns true when what this agent says may be taken for what a registered one says */
  async isRegistered(agentId: string): Promise<boolean> {
    return (await this.#findExpected(agentId, undefined)) !== undefined;
  }

  async status(status: AgentStatus): Promise<void> {
    const { db, clock, logger } = this.#options;
    const { agent_id: agentId, session } = status;
    if (this.#unwritten.size >= maxRemembered) this.#unwritten.clear();
    if (status.state === "online") this.#unwritten.set(agentId, status);
    if ((await this.#findExpected(agentId, status.repository_id)) === undefined) return;
    if (status.state === "offline") {
      const [result] = await db.update(agents).set({ online: false }).where(and(eq(agents.id, agentId), eq(agents.session, session)));
      if (result.affectedRows > 0) this.#setOffline(agentId, session, "its connection ended");
      return;
    }
    if (!/^https?:\/\//i.test(status.public_url) || status.public_url.length > 2048) {
      this.#options.log.warn(`url ${agentId}`, { agentId }, "refused an agent: its public URL is not an http(s) URL of at most 2048 characters");
      return;
    }
    const now = clock.now();
    await db
      .update(agents)
      .set({
        online: true,
        session,
        publicUrl: status.public_url,
        version: status.version,
        slotsTotal: status.slots,
        // Only a heartbeat tells what happened on the agent: the sweep relies on that order.
        lastSeenAt: sql`COALESCE(${agents.lastSeenAt}, ${now.toISOString().slice(0, 23).replace("T", " ")})`,
      })
      .where(eq(agents.id, agentId));
    this.#unwritten.delete(agentId);
    const isNews = this.#setOnline(agentId, session);
    if (isNews) logger.info({ agentId, session, version: status.version }, "agent online");
    this.#options.onBack(agentId);
  }

  /**
   * Notes that the agent lives. Its leases must be written before: the sweep takes `last_seen_at` for
   * the moment up to which the leases are known.
   * @param beforeSeen runs in between
   */
  async heartbeat(heartbeat: Heartbeat, heardAt: Date, beforeSeen: () => Promise<void>): Promise<void> {
    const { db, log } = this.#options;
    const { agent_id: agentId, session, sent_at, slots } = heartbeat;
    let row = await this.#findExpected(agentId, undefined);
    if (row !== undefined && row.session !== session) {
      // Only a status tells which repository the agent serves; until it was accepted its mounts are not ours.
      const status = this.#unwritten.get(agentId);
      if (status?.session !== session) return log.warn(`session ${agentId}`, { agentId, session }, "ignored a heartbeat: the agent has not announced this session");
      await this.status(status);
      row = await this.#findExpected(agentId, undefined);
      if (row?.session !== session) return;
    }
    if (row === undefined) return;
    const sentAtMs = Date.parse(sent_at);
    const known = this.#known.get(agentId);
    if (known !== undefined && known.session === session) {
      const stepMs = sentAtMs - known.sentAtMs;
      if (stepMs <= 0 && stepMs > -lateMs) return;
      // Changes are told by extra heartbeats: the longest gaps of late count.
      if (known.sentAtMs > 0 && stepMs > 0) known.intervalMs = Math.max(stepMs, known.intervalMs * 0.9);
    }
    // The table first: what it says is taken over into memory now and then.
    if (!row.online) await db.update(agents).set({ online: true }).where(and(eq(agents.id, agentId), eq(agents.session, session)));
    this.#setOnline(agentId, session);
    const current = this.#known.get(agentId);
    if (current !== undefined) Object.assign(current, { sentAtMs, clockOffsetMs: sentAtMs - heardAt.getTime() });
    if (Math.abs(sentAtMs - heardAt.getTime()) > worryingOffsetMs) {
      log.warn(`clock ${agentId}`, { agentId, ahead_s: Math.round((sentAtMs - heardAt.getTime()) / 1000) }, "the agent's clock differs from ours: its links may be taken for expired");
    }
    await beforeSeen();
    await db
      .update(agents)
      .set({ lastSeenAt: heardAt, slotsTotal: slots.total, slotsUsed: slots.used })
      .where(and(eq(agents.id, agentId), eq(agents.session, session)));
  }

  /** Declares offline who has been silent too long; one that another coordinator heard stays. */
  async expire(listeningSince: Date): Promise<void> {
    const { db, clock } = this.#options;
    const nowMs = clock.now().getTime();
    for (const [agentId, known] of this.#known) {
      const silenceMs = Math.max(minSilenceMs, missedHeartbeats * known.intervalMs);
      if (!known.isOnline || nowMs - Math.max(known.heardAtMs, listeningSince.getTime()) < silenceMs) continue;
      const before = new Date(nowMs - silenceMs);
      const [result] = await db
        .update(agents)
        .set({ online: false })
        .where(and(eq(agents.id, agentId), known.session === null ? isNull(agents.session) : eq(agents.session, known.session), or(isNull(agents.lastSeenAt), lt(agents.lastSeenAt, before))));
      if (result.affectedRows > 0) this.#setOffline(agentId, known.session, "no heartbeat");
      else known.heardAtMs = nowMs;
    }
  }

  /** Unknown agents, and those that serve another repository than they are registered for, are not listened to. */
  async #findExpected(agentId: string, repositoryId: string | undefined): Promise<{ online: boolean; session: string | null } | undefined> {
    const { db, log } = this.#options;
    const [row] = await db.select({ repositoryId: agents.repositoryId, online: agents.online, session: agents.session }).from(agents).where(eq(agents.id, agentId)).limit(1);
    if (row === undefined) {
      log.warn(`unknown ${agentId}`, { agentId }, "ignored an agent that is not registered");
      this.#known.delete(agentId);
      return undefined;
    }
    if (repositoryId !== undefined && repositoryId !== row.repositoryId) {
      log.warn(`repository ${agentId}`, { agentId, serves: repositoryId, registered_for: row.repositoryId }, "refused an agent: it serves another repository than it is registered for");
      return undefined;
    }
    return row;
  }

  /** @returns true when it was not online in this session before */
  #setOnline(agentId: string, session: string): boolean {
    const heardAtMs = this.#options.clock.now().getTime();
    const known = this.#known.get(agentId);
    const isSame = known !== undefined && known.session === session;
    this.#known.set(agentId, { session, isOnline: true, heardAtMs, intervalMs: isSame ? known.intervalMs : 0, sentAtMs: isSame ? known.sentAtMs : 0, clockOffsetMs: known?.clockOffsetMs ?? 0, changedAtMs: performance.now() });
    return !isSame || !known.isOnline;
  }

  #setOffline(agentId: string, session: string | null, reason: string): void {
    const known = this.#known.get(agentId);
    if (known !== undefined && known.session !== session) return;
    const changedAtMs = performance.now();
    if (known === undefined) this.#known.set(agentId, { session, isOnline: false, heardAtMs: this.#options.clock.now().getTime(), intervalMs: 0, sentAtMs: 0, clockOffsetMs: 0, changedAtMs });
    else Object.assign(known, { isOnline: false, changedAtMs });
    this.#options.logger.info({ agentId, session, reason }, "agent offline");
    this.#options.onGone(agentId);
  }
}
