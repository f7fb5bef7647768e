import type { JSONWebKeySet } from "jose";
import type { Logger } from "pino";
import type { LinkSigner } from "../shared/link.ts";
import type { CommandBody, CommandName, CommandResult } from "../shared/messages.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { Database } from "./database/connect.ts";

/** What every service gets: `verb({ ctx, input })`. Wiring is in coordinator.ts; tests pass their own. */
export interface Context {
  readonly db: Database;
  readonly config: CoordinatorConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly mounts: Mounts;
  readonly links: Links;
  /** On whose behalf: the API token of the request, or the system itself. */
  readonly actor: Actor;
}

export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

export type Role = "admin" | "operator";

export interface Actor {
  /** The API token's name; shown in the audit trail and in the `usr` claim of links. */
  readonly name: string;
  readonly role: Role;
}

export const systemActor: Actor = { name: "system", role: "admin" };

/** The agents over MQTT. */
export interface Fleet {
  /**
   * Sends a command and waits for its reply.
   * @throws PluckError agent_offline, agent_timeout, or what the agent answered
   */
  call<N extends CommandName>(agentId: string, op: N, body: CommandBody<N>, options?: { timeoutMs?: number }): Promise<CommandResult<N>>;
  isOnline(agentId: string): boolean;
}

/** What the catalog needs of the mounts' services. */
export interface Mounts {
  /** Ends on their agents, at once where they are online, the mounts whose rows a deletion took away. Never throws for an offline agent: the reconcile ends them later. */
  endDeleted(mounts: readonly { readonly mountId: string; readonly agentId: string }[]): Promise<void>;
  /** One run at a time for a key in this process: who asks while it runs shares its outcome. */
  once<T>(key: string, run: () => Promise<T>): { readonly outcome: Promise<T>; readonly first: boolean };
  readonly timings: MountTimings;
  /** Which signing key each agent was last given for a mount by this process; a new key is sent before the first link that it signs. */
  readonly sentKeys: { get(mountId: string): string | undefined; set(mountId: string, keyId: string): void };
  /** When this process last swept the idle mounts, and when it will; written by the sweep. */
  readonly sweep: { lastRunAt: Date | null; nextRunAt: Date | null };
}

export interface MountTimings {
  /** How long a mount command may take in all. */
  readonly mountTimeoutMs: number;
  readonly unmountTimeoutMs: number;
  /** How far ahead the deadline in a row is set, and renewed while its sender lives. */
  readonly claimMs: number;
  /** A mount that no row asks for is ended when, after this, there is still none. */
  readonly strayConfirmMs: number;
}

/** The keys that sign links; shared by all coordinators through the database. */
export interface Links {
  signer(): Promise<LinkSigner>;
  /** The public halves of every key whose links may still be alive. */
  jwks(): Promise<JSONWebKeySet & { keys: { kty: string; kid: string }[] }>;
}

/** The input of every service verb. */
export interface Call<I = undefined> {
  readonly ctx: Context;
  readonly input: I;
}

/** The origin of the page: agents let pages of this one read their answers (CORS), and no others. */
export function webOrigin({ config }: Pick<Context, "config">): string | null {
  return config.publicUrl === undefined ? null : new URL(config.publicUrl).origin;
}
