import { parseConfig } from "../../coordinator/config.ts";
import { systemActor, type Context } from "../../coordinator/context.ts";
import { createApp } from "../../coordinator/app.ts";
import { createLogger } from "../../coordinator/logger/create-logger.ts";
import { hashSecret } from "../../coordinator/services/access/secret.ts";
import { createLinks } from "../../coordinator/services/links/signing-keys.ts";
import { createMounts } from "../../coordinator/services/mounts/mount-service.ts";
import { PluckError } from "../../shared/errors.ts";
import type { CommandResult } from "../../shared/messages.ts";
import type { TestDatabase } from "../tools/mariadb.ts";

type CheckedFile = CommandResult<"check">["files"][number];
export type ScannedFile = CommandResult<"scan">["files"][number];

/** An agent of one repository that knows the files it is told. */
export class StandInAgent {
  readonly calls: { agentId: string; op: string; body: unknown }[] = [];
  readonly files = new Map<string, { sizeBytes?: number; storedBytes?: number; chain?: string[]; modifiedAt?: string; error?: { code: string; detail: string } }>();
  scanned: ScannedFile[] = [];
  online = true;

  check(path: string): CheckedFile {
    const file = this.files.get(path);
    if (file === undefined) return { ok: false, qcow2_path: path, error: { code: "qcow2_missing", detail: "There is no such file." } };
    if (file.error !== undefined) return { ok: false, qcow2_path: path, error: file.error };
    return { ok: true, qcow2_path: path, size_bytes: file.sizeBytes ?? 1024 ** 3, ...(file.storedBytes === undefined ? {} : { stored_bytes: file.storedBytes }), chain: file.chain ?? [path], modified_at: file.modifiedAt ?? "2026-01-02T03:04:05.000Z" };
  }

  get fleet(): Context["fleet"] {
    const answer = (agentId: string, op: string, body: unknown): unknown => {
      this.calls.push({ agentId, op, body });
      if (!this.online) throw new PluckError("agent_offline", `Agent ${agentId} is offline.`);
      if (op === "check") return { files: (body as { qcow2_paths: string[] }).qcow2_paths.map((path) => this.check(path)) };
      if (op === "scan") return { files: this.scanned, truncated: false };
      if (op === "unmount") return { mount_id: (body as { mount_id: string }).mount_id, was_open: true };
      throw new Error(`the stand-in agent does not do ${op}`);
    };
    return {
      isOnline: () => this.online,
      call: (async (agentId: string, op: string, body: unknown) => answer(agentId, op, body)) as Context["fleet"]["call"],
    };
  }
}

export const adminToken = "test-admin-token-of-some-length";

export interface TestSite {
  readonly agent: StandInAgent;
  readonly ctx: Context;
  readonly app: ReturnType<typeof createApp>;
  readonly log: string[];
  /** A call with the admin's token, or another; the body is JSON. */
  // The tests look into answers of many shapes.
  // oxlint-disable-next-line typescript/no-explicit-any
  request(method: string, path: string, options?: { body?: unknown; token?: string | null; headers?: Record<string, string> }): Promise<{ status: number; body: any; headers: Headers }>;
}

/** A coordinator on this database with repository `r1` and agent `a1`, whose clock moves by hand. */
export async function createSite(database: TestDatabase, options: { now?: () => Date } = {}): Promise<TestSite> {
  const agent = new StandInAgent();
  const log: string[] = [];
  const logger = createLogger("info", { write: (line: string) => log.push(line) });
  const clock = { now: options.now ?? (() => new Date()) };
  const ctx: Context = {
    db: database.db,
    config: parseConfig({ PLUCK_PUBLIC_URL: "http://coordinator.test" }),
    logger,
    clock,
    fleet: agent.fleet,
    mounts: createMounts({ fleet: agent.fleet, logger }),
    links: createLinks(database.db, clock),
    actor: systemActor,
  };
  await database.query("INSERT IGNORE INTO repositories (id, name) VALUES ('r1', 'site one')");
  await database.query("INSERT IGNORE INTO agents (id, name, repository_id, broker_password_sha256, public_url, slots_total) VALUES ('a1', 'a1', 'r1', '', 'http://agent.test', 16)");
  const app = createApp({ ctx, adminTokenSha256: hashSecret(adminToken), health: async () => ({ status: "ok", database: true, broker: true }), page: new Map() });
  return {
    agent, ctx, app, log,
    request: async (method, path, { body, token = adminToken, headers = {} } = {}) => {
      const response = await app.request(path, {
        method,
        headers: { ...(token === null ? {} : { Authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get("Content-Type") ?? "");
      return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
    },
  };
}

/** Opens a mount row as the mounts' services do. */
export async function insertMount(database: TestDatabase, id: string, diskId: number, slot = "nbd0"): Promise<void> {
  await database.query(
    `INSERT INTO restore_mounts (id, backup_disk_id, agent_id, nbd_device, status, state_changed_at, created_at, updated_at, last_accessed_at, expires_at)
     VALUES (?, ?, 'a1', ?, 'mounted', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) + INTERVAL 1 HOUR)`,
    [id, diskId, slot],
  );
}
