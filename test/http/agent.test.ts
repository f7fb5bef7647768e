import { createServer, type AddressInfo } from "node:net";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Aedes } from "aedes";
import { execa } from "execa";
import { exportJWK, generateKeyPair } from "jose";
import { connect, type MqttClient } from "mqtt";
import { nanoid } from "nanoid";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAgent, type RunningAgent } from "../../agent/agent.ts";
import { parseAgentConfig } from "../../agent/config.ts";
import { fileInfoSchema, listingSchema } from "../../shared/api.ts";
import { agentRoutes, linkUrl, openLinkSigner, signLink, type AgentRoute, type ArchiveFormat, type LinkSigner } from "../../shared/link.ts";
import { agentEventsSchema, agentStatusSchema, commandResults, heartbeatSchema, replySchema, topics, type AgentStatus, type Heartbeat, type Reply } from "../../shared/messages.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { soon } from "../tools/soon.ts";

/** A whole agent: real qcow2 files, qemu-nbd, reader workers, HTTP, and a broker to talk to. */
requireTools("qemu-img", "qemu-nbd", "mkfs.ext4", "unzip", "tar");

const agentId = "agent-1";
/** More than the sockets between agent and client can hold (tcp_rmem and tcp_wmem go up to 36 MiB), so that a stalled client leaves a transfer unfinished. */
const bigBytes = 100_000_000;
const diskBytes = 192 * 2 ** 20;
let home: string;
let repository: string;
let broker: TestBroker;
let signer: LinkSigner;
let jwks: { keys: [{ kty: string; kid: string }] };
let agent: RunningAgent;
let talk: Conversation;

beforeAll(async () => {
  home = await temporaryFolder();
  repository = join(home, "repository");
  await mkdir(join(repository, "vm/disk-0"), { recursive: true });
  await makeDisk(join(repository, "vm/disk-0/full.qcow2"));
  const keys = await generateKeyPair("EdDSA", { extractable: true });
  signer = await openLinkSigner({ ...(await exportJWK(keys.privateKey)), kid: "k1" });
  jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1" } as { kty: string; kid: string }] };
  broker = await startBroker();
  talk = await converse(broker.url);
  agent = await startAgent(configuration(), { logger: pino({ level: "silent" }) });
});
afterAll(async () => {
  await agent?.close();
  talk?.client.end(true);
  await broker?.close();
  await rm(home, { recursive: true, force: true });
});

describe("commands", () => {
  it("open a disk, describe it, and end it; each once, however often it is asked", async () => {
    const opened = commandResults.mount.parse(ok(await talk.send("mount", { mount_id: "m1", qcow2_path: "vm/disk-0/full.qcow2", jwks, web_origin: null })));
    expect(opened).toMatchObject({ mount_id: "m1", nbd_device: "nbd0", filesystem_type: "ext4", size_bytes: diskBytes });
    expect(opened.volumes.map((volume) => volume.name)).toEqual(["disk"]);
    const again = ok(await talk.send("mount", { mount_id: "m1", qcow2_path: "vm/disk-0/full.qcow2", jwks, web_origin: null }));
    expect(again).toEqual(opened);
    const unmount = { mount_id: "m1" };
    expect(ok(await talk.send("unmount", unmount, "same-id"))).toEqual({ mount_id: "m1", was_open: true });
    expect(ok(await talk.send("unmount", unmount, "same-id"))).toEqual({ mount_id: "m1", was_open: true });
    expect(ok(await talk.send("unmount", unmount))).toEqual({ mount_id: "m1", was_open: false });
  });

  it("check and scan the repository", async () => {
    const checked = commandResults.check.parse(ok(await talk.send("check", { qcow2_paths: ["vm/disk-0/full.qcow2", "vm/none.qcow2", "../outside.qcow2"] })));
    expect(checked.files[0]).toMatchObject({ ok: true, size_bytes: diskBytes });
    expect(checked.files[1]).toMatchObject({ ok: false, error: { code: "qcow2_missing" } });
    expect(checked.files[2]).toMatchObject({ ok: false, error: { code: "chain_outside_repository" } });
    const scanned = commandResults.scan.parse(ok(await talk.send("scan", {})));
    expect(scanned.files.map((file) => [file.vm_name, file.disk_index, file.qcow2_path])).toEqual([["vm", 0, "vm/disk-0/full.qcow2"]]);
  });

  it("that fail say why; malformed ones too", async () => {
    expect(await talk.send("mount", { mount_id: "m2", qcow2_path: "none.qcow2", jwks, web_origin: null })).toMatchObject({ ok: false, error: { code: "qcow2_missing" } });
    expect(await talk.send("mount", { mount_id: "m2" })).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });

  it("are dropped past their deadline, malformed, or with another's reply topic", async () => {
    const before = talk.replies.length;
    const command = { v: 1, id: "late", op: "scan", reply_to: topics.reply(agentId, "test"), deadline: new Date(Date.now() - 1000).toISOString(), body: {} };
    const soon = new Date(Date.now() + 10_000).toISOString();
    for (const message of [command, { ...command, deadline: soon, reply_to: topics.command("agent-2") }, { ...command, deadline: soon, op: "format" }, "x"]) {
      await talk.client.publishAsync(topics.command(agentId), JSON.stringify(message), { qos: 1 });
    }
    await talk.send("scan", {});
    expect(talk.replies.slice(before).map((reply) => reply.id)).not.toContain("late");
    expect(talk.replies.length).toBe(before + 1);
  });
});

describe("what it serves", () => {
  beforeAll(async () => {
    ok(await talk.send("mount", { mount_id: "m1", qcow2_path: "vm/disk-0/full.qcow2", jwks, web_origin: null }));
  });

  it("lists, downloads and packs a real disk", async () => {
    const volumes = listingSchema.parse(await (await fetch(await link("files", "/"))).json());
    expect(volumes.entries.map((entry) => [entry.path, entry.type])).toEqual([["/disk", "directory"]]);
    const listing = listingSchema.parse(await (await fetch(await link("files", "/disk/etc"))).json());
    expect(listing.entries.map((entry) => entry.name)).toEqual(["conf.d", "hosts", "localtime"]);
    expect(await (await fetch(await link("download", "/disk/etc/hosts"))).text()).toBe("127.0.0.1 localhost\n");
    const big = Buffer.from(await (await fetch(await link("download", "/disk/big.bin"))).arrayBuffer());
    expect(big.equals(await readFile(join(home, "tree/big.bin")))).toBe(true);

    expect(fileInfoSchema.parse(await (await fetch(await link("file-info", "/disk/etc/hosts"))).json())).toMatchObject({ path: "/disk/etc/hosts", size: 20, hard_links: 2, mode: "0644" });
    for (const [path, shown] of [["/", "/"], ["/disk", "/disk"], ["/disk/etc/localtime", "/disk/etc/localtime"]] as const) {
      expect(fileInfoSchema.parse(await (await fetch(await link("file-info", path))).json()).path).toBe(shown);
    }
    const ranged = await fetch(await link("download", "/disk/big.bin"), { headers: { Range: "bytes=5-9,-3" } });
    expect([ranged.status, Number(ranged.headers.get("content-length"))]).toEqual([206, (await ranged.arrayBuffer()).byteLength]);

    const zip = join(home, "etc.zip");
    await execa("curl", ["-sSf", "-o", zip, await link("download", "/disk/etc")]);
    await execa("unzip", ["-tq", zip]);
    for (const format of ["tar", "tar.gz", "tar.zst"] as const) {
      const file = join(home, `disk.${format}`);
      await execa("curl", ["-sSf", "-o", file, await link("archive", "/disk", format)]);
      const target = join(home, `unpacked-${format}`);
      await mkdir(target);
      await execa("tar", ["-xpf", file, "-C", target]);
      await execa("diff", ["-r", "--no-dereference", "--exclude=lost+found", join(home, "tree"), join(target, "disk")]);
      await rm(target, { recursive: true });
    }
  });

  it("packs the whole disk from / with its volumes as folders, in strict mode", async () => {
    const file = join(home, "all.tar");
    await execa("curl", ["-sSf", "-o", file, await link("archive", "/", "tar")]);
    const { stdout } = await execa("tar", ["-tf", file]);
    expect(stdout.split("\n").slice(0, 2)).toEqual(["disk/", "disk/etc/"]);
    const { stdout: headers } = await execa("curl", ["-sSfI", await link("archive", "/", "tar")]);
    expect(headers).toMatch(/^content-disposition: attachment; filename=m1.tar\r?$/im);
  });

  it("serves the guest's own tree, and its volume raw", async () => {
    const raw = await makeGuestDisk();
    ok(await talk.send("mount", { mount_id: "m2", qcow2_path: "guest.qcow2", jwks, web_origin: null }));
    const ask = async (route: AgentRoute, path: string, more: { raw?: boolean; signed?: boolean; headers?: Record<string, string> } = {}) => {
      const { raw: asked, signed = asked ?? false } = more;
      const { token } = await signLink(signer, { agentId, mountId: "m2", operation: agentRoutes[route], path, user: "tester", raw: signed }, 300);
      return await fetch(linkUrl(agent.url, "m2", route, { path, token, raw: asked?.toString() }), { headers: more.headers ?? {} });
    };
    expect(listingSchema.parse(await (await ask("files", "/")).json()).entries.map((entry) => entry.path)).toEqual(["/disk", "/guest"]);
    expect(await (await ask("download", "/guest/link")).text()).toContain("nofail");
    expect(fileInfoSchema.parse(await (await ask("file-info", "/guest")).json())).toMatchObject({
      guest: { root: "/disk", mounts: [{ mount_point: "/", volume: "/disk", problem: null }, { mount_point: "/data", volume: null, problem: "no volume that is open has it" }] },
      error: { code: "unsupported" },
    });
    const zip = join(home, "guest.zip");
    await writeFile(zip, Buffer.from(await (await ask("download", "/guest/etc")).arrayBuffer()));
    await execa("unzip", ["-tq", zip]);

    const whole = await ask("download", "/disk", { raw: true });
    expect([whole.status, whole.headers.get("content-type"), whole.headers.get("content-length")]).toEqual([200, "application/octet-stream", String(raw.length)]);
    expect(whole.headers.get("content-disposition")).toContain("m2-disk.img");
    expect(Buffer.from(await whole.arrayBuffer()).equals(raw)).toBe(true);
    const etag = whole.headers.get("etag") ?? "";
    const part = await ask("download", "/disk", { raw: true, headers: { Range: "bytes=1024-2047", "If-Range": etag } });
    expect([part.status, part.headers.get("etag")]).toEqual([206, etag]);
    expect(Buffer.from(await part.arrayBuffer()).equals(raw.subarray(1024, 2048))).toBe(true);
    expect((await ask("download", "/disk/etc/fstab", { raw: true })).status).toBe(400);
    expect((await ask("download", "/guest", { raw: true })).status).toBe(404);
    // A link to the folder is none to the bytes below it, and the other way round.
    expect((await ask("download", "/disk", { raw: true, signed: false })).status).toBe(403);
    expect((await ask("download", "/disk", { signed: true })).status).toBe(403);
    ok(await talk.send("unmount", { mount_id: "m2" }));
  });

  it("reports each transfer to the audit trail, and its mounts in heartbeats", async () => {
    await (await fetch(await link("download", "/disk/etc/hosts"))).text();
    await soon(() =>
      expect(talk.events.at(-1)).toMatchObject({ type: "transfer_finished", mount_id: "m1", user: "tester", operation: "download", path: "/disk/etc/hosts", bytes: 20, outcome: "complete" }),
    );
    await soon(() => expect(talk.heartbeats.at(-1)).toMatchObject({ agent_id: agentId, slots: { total: 4, used: 1 }, mounts: [{ mount_id: "m1", nbd_device: "nbd0" }] }));
  });

  it("breaks running transfers when the mount ends, and its links are dead", async () => {
    const url = await link("download", "/disk/big.bin");
    const received = join(home, "received");
    const curl = execa("curl", ["-sS", "--fail", "--limit-rate", "2M", "-o", received, url], { reject: false });
    // A heartbeat alone may still count the transfer of the test before.
    await soon(async () => expect((await stat(received)).size).toBeGreaterThan(0));
    await soon(() => expect(talk.heartbeats.at(-1)?.mounts[0]?.transfers).toBe(1));
    ok(await talk.send("unmount", { mount_id: "m1" }));
    expect((await curl).exitCode).toBe(18);
    expect((await fetch(url)).status).toBe(404);
    await soon(() => expect(talk.events.at(-1)).toMatchObject({ outcome: "mount_not_found", operation: "download" }));
    await soon(() => expect(talk.heartbeats.at(-1)?.mounts).toEqual([]));
  });
});

it("comes back after the broker was away: announces itself anew, keeps serving, delivers its events", async () => {
  ok(await talk.send("mount", { mount_id: "m1", qcow2_path: "vm/disk-0/full.qcow2", jwks, web_origin: null }));
  const { port } = broker;
  talk.client.end(true);
  await broker.close();
  await soon(() => expect(agent.isConnected()).toBe(false));
  expect(await (await fetch(await link("download", "/disk/etc/hosts"))).text()).toBe("127.0.0.1 localhost\n");
  broker = await startBroker(port);
  talk = await converse(broker.url);
  await soon(() => expect(talk.events.at(-1)).toMatchObject({ path: "/disk/etc/hosts", outcome: "complete" }));
  await soon(() => expect(talk.statuses.at(-1)?.state).toBe("online"));
  expect(ok(await talk.send("unmount", { mount_id: "m1" }))).toMatchObject({ was_open: true });
});

it("says goodbye when it stops, and ends what it started", async () => {
  ok(await talk.send("mount", { mount_id: "m9", qcow2_path: "vm/disk-0/full.qcow2", jwks, web_origin: null }));
  expect(await qemuProcesses()).toHaveLength(1);
  const startedAt = performance.now();
  await agent.close();
  expect(performance.now() - startedAt).toBeLessThan(8000);
  await soon(() => expect(talk.statuses.at(-1)?.state).toBe("offline"));
  expect(await qemuProcesses()).toEqual([]);
});

describe("npm run agent", () => {
  it("refuses a wrong configuration with 78 and its reasons", async () => {
    const { child, log } = runMain({ PLUCK_AGENT_PORT: "many", PLUCK_BROKER_URL: "http://x" });
    const { exitCode, stdout } = await child;
    expect([exitCode, stdout]).toEqual([78, ""]);
    const said = await readFile(log, "utf8");
    for (const name of ["PLUCK_AGENT_PORT", "PLUCK_BROKER_URL", "PLUCK_AGENT_ID"]) expect(said).toContain(name);
  });

  it("starts without a broker, serves, and stops on SIGTERM within 8 s with nothing on stdout", async () => {
    const { child, log } = runMain({ ...environment(), PLUCK_BROKER_URL: "mqtt://127.0.0.1:1" });
    const url = await publicUrl(log);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const startedAt = performance.now();
    child.kill("SIGTERM");
    const { exitCode, stdout } = await child;
    expect([exitCode, stdout]).toEqual([0, ""]);
    expect(performance.now() - startedAt).toBeLessThan(8000);
  });

  it("leaves a last will when it is killed, and its qemu-nbd to the next start", async () => {
    const { child, log } = runMain(environment());
    await publicUrl(log);
    await soon(() => expect(talk.statuses.at(-1)?.state).toBe("online"));
    const { session } = talk.statuses.at(-1) ?? {};
    ok(await talk.send("mount", { mount_id: "m5", qcow2_path: "vm/disk-0/full.qcow2", jwks, web_origin: null }));
    child.kill("SIGKILL");
    await child;
    await soon(() => expect(talk.statuses.at(-1)).toMatchObject({ state: "offline", session }));
    const next = runMain(environment());
    await publicUrl(next.log);
    await soon(() => expect(talk.statuses.at(-1)?.state).toBe("online"));
    expect(await qemuProcesses()).toEqual([]);
    expect(talk.statuses.at(-1)?.session).not.toBe(session);
    next.child.kill("SIGINT");
    expect((await next.child).exitCode).toBe(0);
    await soon(() => expect(talk.statuses.at(-1)?.state).toBe("offline"));
  });
});

/** An ext4 on the bare disk, made without mounting it. */
async function makeDisk(qcow2Path: string): Promise<void> {
  const tree = join(home, "tree");
  await mkdir(join(tree, "etc/conf.d"), { recursive: true });
  await writeFile(join(tree, "etc/hosts"), "127.0.0.1 localhost\n");
  await execa("ln", ["-s", "../usr/share/zoneinfo/UTC", join(tree, "etc/localtime")]);
  await execa("ln", [join(tree, "etc/hosts"), join(tree, "etc/conf.d/hosts-again")]);
  const bytes = Buffer.alloc(bigBytes);
  for (let index = 0; index < bigBytes; index += 4) bytes.writeUInt32LE((index * 2_654_435_761) >>> 0, index);
  await writeFile(join(tree, "big.bin"), bytes);
  await writeFile(join(tree, "grüße.txt"), "text");
  const raw = join(home, "disk.raw");
  await execa("truncate", ["-s", String(diskBytes), raw]);
  await execa("mkfs.ext4", ["-q", "-F", "-d", tree, raw]);
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, qcow2Path]);
  await rm(raw);
}

/** An ext4 with an fstab; returns its bytes. */
async function makeGuestDisk(): Promise<Buffer> {
  const tree = join(home, "guest-tree");
  await mkdir(join(tree, "etc"), { recursive: true });
  await mkdir(join(tree, "data"));
  await writeFile(join(tree, "etc/fstab"), "LABEL=root / ext4 defaults 0 1\nLABEL=data /data ext4 nofail 0 2\n");
  await execa("ln", ["-s", "/etc/fstab", join(tree, "link")]);
  const raw = join(home, "guest.raw");
  await execa("truncate", ["-s", "16M", raw]);
  await execa("mkfs.ext4", ["-q", "-F", "-L", "root", "-d", tree, raw]);
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, join(repository, "guest.qcow2")]);
  return await readFile(raw);
}

function environment(): Record<string, string> {
  return {
    PLUCK_AGENT_ID: agentId, PLUCK_REPOSITORY_ID: "site-1", PLUCK_REPOSITORY: repository, PLUCK_BROKER_URL: broker.url,
    PLUCK_BROKER_PASSWORD: "secret", PLUCK_AGENT_PORT: "0", PLUCK_NBD_SLOTS: "4", PLUCK_HEARTBEAT_S: "0.2", PLUCK_HOME: home,
  };
}

function configuration() {
  const parsed = parseAgentConfig(environment());
  if (!parsed.success) throw parsed.error;
  return parsed.data;
}

/** Its log goes to a file, so that its stdout can be held against what it promises: nothing. */
function runMain(more: Record<string, string>) {
  const log = join(home, `${nanoid()}.log`);
  const cwd = new URL("../..", import.meta.url).pathname;
  const child = execa(process.execPath, ["agent/main.ts"], {
    reject: false, cwd, extendEnv: false, env: { PATH: process.env["PATH"] ?? "", ...more }, stderr: { file: log },
  });
  return { child, log };
}

async function publicUrl(log: string): Promise<string> {
  return await soon(async () => {
    const url = /"public_url":"([^"]+)"/.exec(await readFile(log, "utf8"))?.[1];
    if (url === undefined) throw new Error("not ready yet");
    return url;
  });
}

async function qemuProcesses(): Promise<string[]> {
  const { stdout } = await execa("ps", ["-eo", "args"]);
  return stdout.split("\n").filter((line) => line.includes("qemu-nbd") && line.includes(home));
}

async function link(route: AgentRoute, path: string, format?: ArchiveFormat): Promise<string> {
  const { token } = await signLink(
    signer,
    { agentId, mountId: "m1", operation: agentRoutes[route], path, user: "tester", ...(format === undefined ? {} : { format }) },
    300,
  );
  return linkUrl(agent.url, "m1", route, { path, token, format });
}

function ok(reply: Reply): unknown {
  if (!reply.ok) throw new Error(`the command failed: ${JSON.stringify(reply.error)}`);
  return reply.result;
}

interface TestBroker {
  readonly url: string;
  readonly port: number;
  readonly close: () => Promise<void>;
}

async function startBroker(port = 0): Promise<TestBroker> {
  const aedes = await Aedes.createBroker();
  const server = createServer({ noDelay: true }, aedes.handle);
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const taken = (server.address() as AddressInfo).port;
  return {
    url: `mqtt://127.0.0.1:${taken}`,
    port: taken,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await closed;
    },
  };
}

/** What a coordinator hears and says. */
interface Conversation {
  readonly client: MqttClient;
  readonly statuses: AgentStatus[];
  readonly heartbeats: Heartbeat[];
  readonly events: ReturnType<typeof agentEventsSchema.parse>["events"];
  readonly replies: Reply[];
  send(op: string, body: unknown, id?: string): Promise<Reply>;
}

async function converse(url: string): Promise<Conversation> {
  const client = connect(url, { protocolVersion: 4, clientId: `test-${nanoid()}` });
  const told: Omit<Conversation, "client" | "send"> = { statuses: [], heartbeats: [], events: [], replies: [] };
  const waiting = new Map<string, (reply: Reply) => void>();
  client.on("message", (topic, payload) => {
    const message: unknown = JSON.parse(payload.toString());
    if (topic === topics.status(agentId)) told.statuses.push(agentStatusSchema.parse(message));
    else if (topic === topics.heartbeat(agentId)) told.heartbeats.push(heartbeatSchema.parse(message));
    else if (topic === topics.events(agentId)) told.events.push(...agentEventsSchema.parse(message).events);
    else if (topic.startsWith(topics.reply(agentId, ""))) {
      const reply = replySchema.parse(message);
      told.replies.push(reply);
      waiting.get(reply.id)?.(reply);
    }
  });
  await client.subscribeAsync(`pluck/v1/agents/${agentId}/#`, { qos: 1 });
  return {
    client,
    ...told,
    async send(op, body, id = `c${nanoid()}`) {
      // The agent may have come to the broker a moment ago.
      await soon(() => expect(told.statuses.at(-1)?.state).toBe("online"));
      const reply = new Promise<Reply>((resolve) => waiting.set(id, resolve));
      const command = { v: 1, id, op, reply_to: topics.reply(agentId, "test"), deadline: new Date(Date.now() + 30_000).toISOString(), body };
      await client.publishAsync(topics.command(agentId), JSON.stringify(command), { qos: 1 });
      return await reply;
    },
  };
}
