import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { exportJWK, generateKeyPair } from "jose";
import { pino } from "pino";
import { type Broker, coordinatorUsername, startBroker } from "../../coordinator/fleet/broker.ts";
import { type OpenFleet, openFleet } from "../../coordinator/fleet/fleet.ts";
import { startReconcile } from "../../coordinator/fleet/reconcile.ts";
import { parseConfig } from "../../coordinator/config.ts";
import { type Context, type Links, type MountTimings, systemActor, systemClock } from "../../coordinator/context.ts";
import { connectDatabase } from "../../coordinator/database/connect.ts";
import { createMounts } from "../../coordinator/services/mounts/mount-service.ts";
import { openLinkSigner } from "../../shared/link.ts";
import type { TestDatabase, TestMariadb } from "../tools/mariadb.ts";
import { FakeAgent, type FakeAgentOptions } from "./fake-agent.ts";

/** A database, a broker, and what a test puts around them. */
export interface Site {
  readonly database: TestDatabase;
  broker: Broker;
  /** Where everybody connects; the embedded broker unless the test has another. */
  brokerUrl: string;
  coordinator(options?: CoordinatorOptions): Promise<TestCoordinator>;
  agent(options?: Partial<FakeAgentOptions>): FakeAgent;
  /** Rows of restore_mounts, as they stand. */
  rows(): Promise<MountRow[]>;
  /** The broker is killed and started again on its port, with nothing remembered. */
  restartBroker(downMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface CoordinatorOptions {
  readonly timings?: Partial<MountTimings>;
  readonly mountWaitS?: number;
  readonly idleTimeoutS?: number;
}

export interface TestCoordinator {
  readonly ctx: Context;
  readonly fleet: OpenFleet;
  readonly warnings: string[];
  /** As kill -9 would leave it: nothing more is sent or written. */
  close(): Promise<void>;
}

export interface MountRow {
  readonly id: string;
  readonly status: string;
  readonly nbd_device: string | null;
  readonly agent_id: string;
  readonly generation: number;
  readonly error_code: string | null;
  readonly expires_at: Date;
  readonly last_accessed_at: Date;
  readonly backup_disk_id: number;
}

export const agentPassword = "a-password-of-an-agent";
const coordinatorPassword = "the-coordinators-own-password";

export async function makeSite(mariadb: TestMariadb, options: { brokerUrl?: string; disks?: number } = {}): Promise<Site> {
  const database = await mariadb.create();
  await seed(database, options.disks ?? 4);
  const startTestBroker = (port: number): Promise<Broker> =>
    startBroker({
      port,
      coordinatorPassword,
      verifyAgent: async (agentId, given) => {
        const [row] = await database.query<{ hash: string }>("SELECT broker_password_sha256 AS hash FROM agents WHERE id = ?", [agentId]);
        return row?.hash === createHash("sha256").update(given).digest("hex");
      },
    });
  const closers: (() => Promise<unknown>)[] = [];
  const links = await testLinks();
  const broker = await startTestBroker(0);
  const site: Site = {
    database,
    broker,
    brokerUrl: options.brokerUrl ?? broker.url,
    coordinator: async ({ timings = {}, mountWaitS = 10, idleTimeoutS = 3600 } = {}) => {
      const connection = connectDatabase(database.url, { connectionLimit: 10 });
      const warnings: string[] = [];
      const logger = pino({ level: "debug" }, { write: (line: string) => void warnings.push(line) });
      const fleet = await openFleet({
        broker: options.brokerUrl === undefined ? { url: site.brokerUrl, username: coordinatorUsername, password: coordinatorPassword } : { url: site.brokerUrl },
        db: connection.db, clock: systemClock, logger, presenceCheckMs: 300, reconnectMs: 50,
      });
      const mounts = createMounts({ fleet, logger, timings: { claimMs: 1500, strayConfirmMs: 100, unmountTimeoutMs: 2000, mountTimeoutMs: 10_000, ...timings } });
      const config = { ...parseConfig({}), mountWaitS, idleTimeoutS, publicUrl: "http://pluck.test" };
      const ctx: Context = { db: connection.db, config, logger, clock: systemClock, fleet, mounts, links, actor: systemActor };
      startReconcile(ctx, fleet);
      let isClosed = false;
      const close = async (): Promise<void> => {
        if (isClosed) return;
        isClosed = true;
        await fleet.close();
        await connection.close();
      };
      closers.push(close);
      if (!(await fleet.whenConnected(5000))) throw new Error("the coordinator did not reach the broker");
      return { ctx, fleet, warnings, close };
    },
    agent: (given = {}) => {
      const agent = new FakeAgent({ id: "agent-a", repositoryId: "site-a", brokerUrl: site.brokerUrl, password: agentPassword, ...given });
      closers.push(async () => agent.kill());
      return agent;
    },
    rows: () => database.query<MountRow>("SELECT * FROM restore_mounts ORDER BY created_at"),
    restartBroker: async (downMs = 100) => {
      const { port } = site.broker;
      await site.broker.close();
      await sleep(downMs);
      site.broker = await startTestBroker(port);
    },
    stop: async () => {
      for (const close of closers.reverse()) await close().catch(() => undefined);
      await site.broker.close();
    },
  };
  return site;
}

async function seed(database: TestDatabase, disks: number): Promise<void> {
  const hash = createHash("sha256").update(agentPassword).digest("hex");
  await database.query("INSERT INTO repositories (id, name) VALUES ('site-a', 'Site A'), ('site-b', 'Site B')");
  await database.query("INSERT INTO agents (id, name, repository_id, broker_password_sha256) VALUES ('agent-a', 'A', 'site-a', ?), ('agent-b', 'B', 'site-b', ?)", [hash, hash]);
  await database.query("INSERT INTO vm_backup_contexts (context_id, vm_name, repository_id) VALUES ('ctx-a', 'pgtest1', 'site-a')");
  await database.query("INSERT INTO backup_jobs (id, vm_backup_context_id, vm_name, backup_type, status) VALUES ('backup-1', 'ctx-a', 'pgtest1', 'full', 'completed')");
  for (let index = 0; index < disks; index += 1) {
    await database.query(
      "INSERT INTO backup_disks (vm_backup_context_id, backup_job_id, disk_index, qcow2_path, status) VALUES ('ctx-a', 'backup-1', ?, ?, 'completed')",
      [index, `pgtest1/disk-${index}/d.qcow2`],
    );
  }
}

async function testLinks(): Promise<Links> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const publicJwk = { ...(await exportJWK(publicKey)), kid: "k1" };
  const signer = await openLinkSigner({ ...(await exportJWK(privateKey)), kid: "k1" });
  return {
    signer: () => Promise.resolve(signer),
    jwks: () => Promise.resolve({ keys: [publicJwk as typeof publicJwk & { kty: string }] }),
  };
}

/** Waits until it is true; fails with what was waited for. */
export async function eventually(what: string, ask: () => Promise<boolean> | boolean, timeoutMs = 60_000): Promise<void> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    if (await ask()) return;
    if (Date.now() > until) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(20);
  }
}
