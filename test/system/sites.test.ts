import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeRepository, type TestRepository } from "./repository.ts";
import { eventually } from "./system.ts";

// Property: one coordinator serves several sites. Each part runs alone, as `npm run coordinator` and
// `npm run agent` on different hosts would; a site that goes away is shown as that, and the other goes on.

const root = join(import.meta.dirname, "../..");
let folder: string;
let repository: TestRepository;
let url: string;
let token: string;
const ends: (() => Promise<unknown>)[] = [];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function run(program: string, environment: Record<string, string>): { stop: (signal?: NodeJS.Signals) => Promise<unknown>; logs: () => string } {
  const child = execa(process.execPath, [program], { cwd: root, env: environment, reject: false, buffer: false });
  let logs = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (logs += text));
  const stop = (signal: NodeJS.Signals = "SIGTERM"): Promise<unknown> => {
    child.kill(signal);
    return child;
  };
  ends.unshift(stop);
  return { stop, logs: () => logs };
}

async function api(method: string, path: string, body?: unknown): Promise<{ status: number; headers: Headers; body: Record<string, never> & { [key: string]: never } }> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    redirect: "manual",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : {} };
}

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-sites-");
  repository = await makeRepository(folder);
  const [port, brokerPort] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  const coordinator = run("coordinator/main.ts", { PLUCK_HOME: join(folder, "coordinator"), PLUCK_PORT: String(port), PLUCK_BROKER_PORT: String(brokerPort) });
  await eventually(`the coordinator answers; it said: ${coordinator.logs()}`, async () => (await fetch(`${url}/healthz`).catch(() => undefined))?.ok, 60_000);
  token = (await readFile(join(folder, "coordinator/admin-token"), "utf8")).trim();
  for (const site of ["oslo", "porto"]) await startSite(site, brokerPort);
});

const sites = new Map<string, ReturnType<typeof run>>();
async function startSite(site: string, brokerPort: number): Promise<void> {
  expect((await api("POST", "/repositories", { id: site, name: `Repository in ${site}` })).status).toBe(201);
  const agent = await api("POST", "/agents", { id: `agent-${site}`, repository_id: site });
  expect(agent.status).toBe(201);
  const started = run("agent/main.ts", {
    PLUCK_HOME: join(folder, site),
    PLUCK_AGENT_ID: `agent-${site}`,
    PLUCK_REPOSITORY_ID: site,
    PLUCK_REPOSITORY: repository.path,
    PLUCK_BROKER_URL: `mqtt://127.0.0.1:${brokerPort}`,
    PLUCK_BROKER_USERNAME: `agent-${site}`,
    PLUCK_BROKER_PASSWORD: agent.body.broker_password ?? "",
    PLUCK_AGENT_PORT: "0",
    PLUCK_HEARTBEAT_S: "0.5",
  });
  sites.set(site, started);
  await eventually(`${site} is online; it said: ${started.logs()}`, async () => {
    const { body } = await api("GET", "/agents");
    const agents = (body.agents ?? body) as unknown as { id: string; online: boolean }[];
    return agents.some((candidate) => candidate.id === `agent-${site}` && candidate.online);
  });
}

afterAll(async () => {
  for (const end of ends) await end();
  await rm(folder, { recursive: true, force: true });
});

async function register(site: string, backupId: string, disk: "full1" | "incremental1"): Promise<void> {
  const reply = await api("POST", "/backups", { vm_name: `vm-${site}`, repository_id: site, backup_id: backupId, disks: [{ disk_index: 0, qcow2_path: repository.disks[disk] }] });
  expect(reply.status, JSON.stringify(reply.body)).toBe(201);
}

async function readVersion(backupId: string): Promise<{ version: string; host: string }> {
  const mount = (await api("POST", "/restore/mount", { backup_id: backupId })).body as { mount_id?: string };
  const redirect = await api("GET", `/restore/${mount.mount_id}/download?path=%2Fdisk%2FPG_VERSION`);
  const location = redirect.headers.get("location") ?? "";
  return { version: await (await fetch(location)).text(), host: new URL(location).host };
}

describe("two sites on one coordinator", () => {
  it("finds restore points by the repository's layout", async () => {
    const reply = await api("POST", "/repositories/oslo/scan");
    expect(reply.status, JSON.stringify(reply.body)).toBe(200);
    const { backups } = (await api("GET", "/backups?vm_name=pgtest1")).body as unknown as { backups: { backup_type: string; disks: { disk_index: number }[] }[] };
    expect(backups.map((backup) => [backup.backup_type, backup.disks.map((disk) => disk.disk_index)]).sort()).toEqual([
      ["full", [0, 1]],
      ["incremental", [0, 1]],
    ]);
    const again = await api("POST", "/repositories/oslo/scan");
    expect(again.body.registered).toEqual([]);
  });

  it("serves each backup from the agent of its own repository", async () => {
    await register("oslo", "backup-oslo-1", "full1");
    await register("porto", "backup-porto-1", "incremental1");
    const [oslo, porto] = [await readVersion("backup-oslo-1"), await readVersion("backup-porto-1")];
    expect([oslo.version, porto.version]).toEqual(["16\n", "17\n"]);
    expect(oslo.host).not.toBe(porto.host);
  });

  it("keeps one agent's links from opening anything on the other", async () => {
    const mounts = (await api("GET", "/restore/mounts")).body.mounts as unknown as { mount_id: string; backup_id: string; mount_path: string }[];
    const [oslo, porto] = ["backup-oslo-1", "backup-porto-1"].map((id) => mounts.find((mount) => mount.backup_id === id));
    const link = new URL((await api("POST", `/restore/${oslo?.mount_id}/links`, { operation: "browse", path: "/" })).body.url ?? "");
    const other = `${porto?.mount_path}/files${link.search}`;
    expect(((await (await fetch(other)).json()) as { code: string }).code).toBe("link_invalid");
  });

  it("says agent_offline for the site that went away, while the other goes on", async () => {
    await register("porto", "backup-porto-2", "full1");
    await sites.get("porto")?.stop("SIGKILL");
    await eventually("porto shows as offline", async () => {
      const reply = await api("POST", "/restore/mount", { backup_id: "backup-porto-2" });
      return reply.status === 503 && (reply.body as { code?: string }).code === "agent_offline";
    });
    expect((await readVersion("backup-oslo-1")).version).toBe("16\n");
    const { body } = await api("GET", "/agents");
    const agents = (body.agents ?? body) as unknown as { id: string; online: boolean }[];
    expect(Object.fromEntries(agents.map((agent) => [agent.id, agent.online]))).toEqual({ "agent-oslo": true, "agent-porto": false });
  });
});
