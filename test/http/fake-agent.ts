import { exportJWK, generateKeyPair } from "jose";
import { pino, type Logger } from "pino";
import { createAgentApp } from "../../agent/http/app.ts";
import { createAgentMetrics } from "../../agent/http/metrics.ts";
import { listenForClients } from "../../agent/http/server.ts";
import type { OpenMount, OpenMounts } from "../../agent/mounts/open-mount.ts";
import { PluckError } from "../../shared/errors.ts";
import { agentRoutes, linkUrl, openLinkSigner, selectionUrl, signLink, signSelectionLink, type AgentRoute, type ArchiveFormat, type LinkClaims, type SelectionClaims } from "../../shared/link.ts";
import { encodeSelection, hashSelection } from "../../shared/selection.ts";
import type { AgentEvent } from "../../shared/messages.ts";
import { FakeReader, type FakeNode } from "./fake-reader.ts";

/** An agent's HTTP side over a made-up disk, with everything a test wants to look at. */
export interface FakeAgent {
  readonly app: ReturnType<typeof createAgentApp>;
  readonly reader: FakeReader;
  readonly mount: OpenMount;
  readonly events: AgentEvent[];
  /** Every log line as it was written. */
  readonly logLines: string[];
  readonly touches: () => number;
  readonly endMount: (error: Error) => void;
  /** Lets a job write to the backup once so many bytes were read of it; nobody notices before asking. */
  readonly changeDiskAfter: (readBytes: number) => void;
  /** A signed link; `overrides` change what is signed, `more` what is asked beside it. */
  link(route: AgentRoute, path: string, more?: Record<string, string>, overrides?: Partial<LinkClaims> & { readonly lifeS?: number }): Promise<string>;
  /** The URL and the form of an archive of these paths. */
  selection(paths: readonly string[], format?: ArchiveFormat, overrides?: Partial<SelectionClaims> & { readonly lifeS?: number; readonly mountId?: string }): Promise<{ url: string; selection: string }>;
  get(route: AgentRoute, path: string, init?: { method?: string; headers?: Record<string, string> }, more?: Record<string, string>): Promise<Response>;
}

export const fakeOrigin = "https://pluck.example";

export async function createFakeAgent(volumes: readonly FakeNode[]): Promise<FakeAgent> {
  const keys = await generateKeyPair("EdDSA", { extractable: true });
  const signer = await openLinkSigner({ ...(await exportJWK(keys.privateKey)), kid: "test" });
  const publicJwk = { ...(await exportJWK(keys.publicKey)), kid: "test" } as { kty: string; kid: string };
  const reader = new FakeReader(volumes);
  const ended = new AbortController();
  let touches = 0;
  let changesAfter = Infinity;
  let transfers = 0;
  const mount: OpenMount = {
    mountId: "m1", nbdDevice: "nbd0", qcow2Path: "vm/disk-0/a.qcow2", reader, jwks: { keys: [publicJwk] }, webOrigin: fakeOrigin,
    ended: ended.signal,
    lastAccessedAt: new Date(),
    get transfers() { return transfers; },
    assertUnchanged: async () => {
      if (reader.readBytes >= changesAfter) throw new PluckError("backup_in_use", "a.qcow2 was written to while the disk was open.");
    },
    touch: () => void touches++,
    beginTransfer: () => {
      transfers++;
      let isOver = false;
      return () => {
        if (isOver) throw new Error("a transfer was ended twice");
        isOver = true;
        transfers--;
      };
    },
  };
  const mounts: OpenMounts = {
    slots: 16,
    lastWebOrigin: fakeOrigin,
    open: () => Promise.reject(new Error("not here")),
    end: () => Promise.resolve(false),
    get: (id) => (id === "m1" ? mount : undefined),
    list: () => [mount],
    opening: () => [],
    onLost: () => undefined,
    close: () => Promise.resolve(),
  };
  const events: AgentEvent[] = [];
  const logLines: string[] = [];
  const logger: Logger = pino({ level: "trace" }, { write: (line: string) => void logLines.push(line) });
  const app = createAgentApp({ agentId: "agent-1", mounts, logger, metrics: createAgentMetrics(mounts), report: (event) => void events.push(event) });
  const link: FakeAgent["link"] = async (route, path, more = {}, overrides = {}) => {
    const { lifeS = 300, ...claims } = overrides;
    const format = more["format"] as LinkClaims["format"];
    const { token } = await signLink(
      signer,
      { agentId: "agent-1", mountId: "m1", operation: agentRoutes[route], path, user: "tester", ...(format === undefined ? {} : { format }), ...claims },
      lifeS,
    );
    return linkUrl("", "m1", route, { path, token, ...more });
  };
  return {
    app, reader, mount, events, logLines,
    touches: () => touches,
    endMount: (error) => ended.abort(error),
    changeDiskAfter: (readBytes) => void (changesAfter = readBytes),
    link,
    selection: async (paths, format = "tar", overrides = {}) => {
      const { lifeS = 300, mountId = "m1", ...claims } = overrides;
      const selection = encodeSelection({ name: "picked", mounts: [{ mount_id: mountId, folder: "backup-disk-0", paths }] });
      const { token } = await signSelectionLink(signer, { agentId: "agent-1", format, selectionSha256: hashSelection(selection), user: "tester", ...claims }, lifeS);
      return { url: selectionUrl("", token), selection };
    },
    get: async (route, path, init = {}, more = {}) => await app.request(await link(route, path, more), init),
  };
}

/** The same over a real socket. */
export async function listenFakeAgent(agent: FakeAgent, stalledClientMs = 60_000): Promise<{ url: string; close: () => Promise<void> }> {
  const server = await listenForClients(agent.app, { host: "127.0.0.1", port: 0, stalledClientMs });
  return { url: `http://127.0.0.1:${server.port}`, close: async () => await server.close(0) };
}
