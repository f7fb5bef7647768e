import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { mountDisk } from "../../coordinator/services/mounts/mount-disk.ts";
import { topics } from "../../shared/messages.ts";
import { hasTool } from "../tools/environment.ts";
import { startTestMariadb, type TestMariadb } from "../tools/mariadb.ts";
import { type Mosquitto, startMosquitto } from "./mosquitto.ts";
import { eventually, makeSite, type Site } from "./site.ts";

// Property: on any broker, who is online is known soon to every coordinator, whoever was killed; and
// what strangers send changes nothing.

let mariadb: TestMariadb;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => await mariadb.stop());

const kinds = ["the embedded broker", ...(hasTool("mosquitto") ? ["mosquitto"] : [])];

describe.each(kinds)("on %s", (kind) => {
  let site: Site;
  let mosquitto: Mosquitto | undefined;

  beforeEach(async () => {
    mosquitto = kind === "mosquitto" ? await startMosquitto() : undefined;
    site = await makeSite(mariadb, mosquitto === undefined ? {} : { brokerUrl: mosquitto.url });
  });
  afterEach(async () => {
    await site.stop();
    await mosquitto?.stop();
  });

  const agents = () => site.database.query<{ id: string; online: number; session: string | null; public_url: string | null; slots_total: number; version: string | null }>("SELECT * FROM agents ORDER BY id");
  async function restartBroker(downMs?: number): Promise<void> {
    if (mosquitto === undefined) await site.restartBroker(downMs);
    else await mosquitto.restart(downMs);
  }

  it("writes who is online, and who was killed, for every coordinator", async () => {
    const two = [await site.coordinator(), await site.coordinator()];
    const agent = site.agent({ slots: 7 });
    await eventually("both see it", () => two.every(({ fleet }) => fleet.isOnline("agent-a")));
    expect((await agents())[0]).toMatchObject({ id: "agent-a", online: 1, session: agent.session, public_url: "http://127.0.0.1:9", slots_total: 7, version: "test" });
    agent.kill();
    await eventually("both see it gone", () => two.every(({ fleet }) => !fleet.isOnline("agent-a")), 5000);
    expect((await agents())[0]).toMatchObject({ online: 0 });
    const late = await site.coordinator();
    await sleep(100);
    expect(late.fleet.isOnline("agent-a")).toBe(false);
  });

  it("learns of agents that came before it", async () => {
    site.agent({ heartbeatMs: 60_000 });
    await sleep(200);
    const one = await site.coordinator();
    await eventually("it knows", () => one.fleet.isOnline("agent-a"), 3000);
  });

  it("ignores the last will of an older session, however late", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    const will = { v: 1, agent_id: "agent-a", state: "offline", session: "s-older", public_url: "http://x.test", repository_id: "site-a", version: "0", slots: 1 };
    agent.publish(topics.status("agent-a"), will, true);
    await sleep(200);
    expect(one.fleet.isOnline("agent-a")).toBe(true);
    expect((await agents())[0]).toMatchObject({ online: 1, public_url: "http://127.0.0.1:9" });
    // A coordinator that starts now meets only that will on the broker.
    const late = await site.coordinator();
    await eventually("it believes the table and the heartbeats", () => late.fleet.isOnline("agent-a"), 3000);
  });

  it("keeps an agent online whose connection breaks off and comes back", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    await restartBroker(300);
    await eventually("connected again", () => agent.isConnected && one.fleet.isConnected());
    const { outcome } = await mountDisk({ ctx: one.ctx, input: { backupId: "backup-1", diskIndex: 0 } });
    expect(outcome).toBe("created");
  });

  it("carries a command through a restart of the broker", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    agent.mountDelayMs = 700;
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    const asked = mountDisk({ ctx: one.ctx, input: { backupId: "backup-1", diskIndex: 0 } });
    await eventually("the command arrived", () => agent.sent("mount").length > 0);
    await restartBroker(1000);
    expect((await asked).mount.status).toBe("mounted");
    expect(agent.mounts()).toHaveLength(1);
  });

  it("waits for a broker that is away, for a while", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    const restarting = restartBroker(1000);
    await eventually("cut off", () => !one.fleet.isConnected());
    const answer = await one.fleet.call("agent-a", "unmount", { mount_id: "mnt-x" }, { timeoutMs: 8000 });
    expect(answer).toEqual({ mount_id: "mnt-x", was_open: false });
    expect(new Set(agent.sent("unmount").map((command) => command.id)).size).toBe(1);
    await restarting;
  });

  it("drops garbage, strangers and agents of another repository, and goes on", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    const beat = { v: 1, agent_id: "agent-a", session: agent.session, sent_at: new Date().toISOString(), slots: { total: 1, used: 0 }, mounts: [], opening: [] };
    for (const payload of ["{", "null", "[]", JSON.stringify({ ...beat, agent_id: "agent-b" }), JSON.stringify({ ...beat, mounts: [{}] }), "\u0000".repeat(5000), "x".repeat(1_000_000)]) {
      for (const topic of [topics.heartbeat("agent-a"), topics.events("agent-a"), topics.reply("agent-a", one.fleet.instance)]) agent.publish(topic, payload);
    }
    agent.publish(topics.status("agent-a"), { v: 1, agent_id: "agent-a", state: "online", session: "s-evil", public_url: "javascript:alert(1)", repository_id: "site-a", version: "1", slots: 1 });
    const foreign = site.agent({ id: "agent-b", repositoryId: "site-a" });
    await sleep(500);
    expect(one.fleet.isOnline("agent-a")).toBe(true);
    expect((await agents())[0]).toMatchObject({ session: agent.session, public_url: "http://127.0.0.1:9" });
    expect((await agents())[1]).toMatchObject({ id: "agent-b", public_url: null });
    expect(one.warnings.some((line) => line.includes("serves another repository"))).toBe(true);
    expect(foreign.commands).toEqual([]);
    expect(one.warnings.filter((line) => line.includes("dropped a message")).length).toBeLessThan(10);
    expect((await mountDisk({ ctx: one.ctx, input: { backupId: "backup-1", diskIndex: 0 } })).outcome).toBe("created");
  });

  it("ignores an agent that is not registered", async () => {
    if (kind !== "mosquitto") return; // The embedded broker does not even let it in: broker.test.ts.
    const one = await site.coordinator();
    site.agent({ id: "agent-x" });
    await eventually("it was seen", () => one.warnings.some((line) => line.includes("not registered")));
    expect(one.fleet.isOnline("agent-x")).toBe(false);
    expect(await agents()).toHaveLength(2);
  });

  it("does not listen to an agent that was restarted on another repository", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    agent.kill();
    await eventually("offline", () => !one.fleet.isOnline("agent-a"));
    const wrong = site.agent({ repositoryId: "site-b" });
    await sleep(600);
    expect(one.fleet.isOnline("agent-a")).toBe(false);
    await expect(mountDisk({ ctx: one.ctx, input: { backupId: "backup-1", diskIndex: 0 } })).rejects.toMatchObject({ code: "agent_offline" });
    expect(wrong.commands).toEqual([]);
    expect((await agents())[0]).toMatchObject({ online: 0, session: agent.session });
  });

  it("knows an agent that came while the database was away", async () => {
    const one = await site.coordinator();
    await site.database.query("RENAME TABLE agents TO agents_away");
    const agent = site.agent();
    // The embedded broker asks the same database for its password and turns it away so long.
    if (kind === "mosquitto") await eventually("its status was heard", () => one.warnings.some((line) => line.includes("could not handle an agent's message")));
    else await sleep(500);
    await site.database.query("RENAME TABLE agents_away TO agents");
    await eventually("it is online", () => one.fleet.isOnline("agent-a"));
    expect((await agents())[0]).toMatchObject({ online: 1, session: agent.session });
  });

  it("does not take a late or forged reply for its own", async () => {
    const one = await site.coordinator();
    const agent = site.agent();
    await eventually("online", () => one.fleet.isOnline("agent-a"));
    agent.isMute = true;
    await expect(one.fleet.call("agent-a", "unmount", { mount_id: "mnt-x" }, { timeoutMs: 200 })).rejects.toMatchObject({ code: "agent_timeout" });
    const [command] = agent.sent("unmount");
    for (let time = 0; time < 3; time += 1) agent.publish(command!.reply_to, { v: 1, id: command!.id, ok: true, result: { mount_id: "mnt-x", was_open: true } });
    agent.isMute = false;
    expect(await one.fleet.call("agent-a", "unmount", { mount_id: "mnt-y" })).toEqual({ mount_id: "mnt-y", was_open: false });
  });
});

describe("silence", () => {
  it("takes an agent for offline that says nothing any more though its connection stands", async () => {
    const site = await makeSite(mariadb);
    try {
      const one = await site.coordinator();
      const agent = site.agent();
      await eventually("online", () => one.fleet.isOnline("agent-a"));
      agent.sendsHeartbeats = false;
      await sleep(500);
      expect(one.fleet.isOnline("agent-a")).toBe(true);
      await eventually("it is offline", () => !one.fleet.isOnline("agent-a"), 30_000);
      agent.sendsHeartbeats = true;
      await eventually("it is heard again", () => one.fleet.isOnline("agent-a"));
    } finally {
      await site.stop();
    }
  }, 60_000);
});
