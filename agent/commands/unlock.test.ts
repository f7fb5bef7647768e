import { afterEach, describe, expect, it, vi } from "vitest";
import { PluckError } from "../../shared/errors.ts";
import { seal } from "../../shared/sealed-secret.ts";
import type { OpenMount, OpenMounts } from "../mounts/open-mount.ts";
import type { CommandServices } from "./command.ts";
import { unlock, unlockKey } from "./unlock.ts";
import { UnlockDesk } from "./unlock-desk.ts";

const secret = Buffer.from("the passphrase");
const key = { mount_id: "m1" };

/** An agent with the mount m1 whose reader takes what `accepts` says. */
function agent(accepts: (secret: Uint8Array, volume: string) => Promise<void> = () => Promise.resolve()) {
  const given: { volume: string; secret: Buffer; buffer: Uint8Array }[] = [];
  const reader = {
    sizeBytes: 1, volumes: [],
    unlock: async (request: { volume: string; secret: Uint8Array }) => {
      given.push({ volume: request.volume, secret: Buffer.from(request.secret), buffer: request.secret });
      await accepts(request.secret, request.volume);
    },
  };
  const mount = { mountId: "m1", nbdDevice: "nbd0", qcow2Path: "vm/disk-0/a.qcow2", reader, beginTransfer: () => () => undefined, assertUnchanged: () => Promise.resolve() } as unknown as OpenMount;
  const mounts = { get: (id: string) => (id === "m1" ? mount : undefined) } as unknown as OpenMounts;
  const services: CommandServices = { mounts, repositoryRoot: "/", unlocks: new UnlockDesk() };
  const send = async (volume = "p2", mountId = "m1") => {
    const sealed = await seal(secret, await unlockKey(key, services), { mountId, volume });
    return { sealed, result: await unlock({ mount_id: mountId, volume, sealed }, services) };
  };
  return { given, services, send };
}

afterEach(() => vi.useRealTimers());

describe("unlock", () => {
  it("gives the secret to the reader, wipes it, and shows nothing of it on the wire", async () => {
    const { given, send } = agent();
    const { sealed, result } = await send();
    expect(given.map(({ volume, secret: got }) => [volume, got.toString()])).toEqual([["p2", "the passphrase"]]);
    expect(given[0]!.buffer.every((byte) => byte === 0)).toBe(true);
    for (const form of [secret.toString(), secret.toString("base64"), secret.toString("base64url"), secret.toString("hex")]) expect(sealed).not.toContain(form);
    expect(result).toMatchObject({ mount_id: "m1", nbd_device: "nbd0" });
  });

  it("takes a recorded message only once, and only for the mount and volume it was made for", async () => {
    const { given, services, send } = agent();
    const { sealed } = await send();
    await expect(unlock({ mount_id: "m1", volume: "p2", sealed }, services)).rejects.toMatchObject({ code: "agent_timeout" });
    const other = await seal(secret, await unlockKey(key, services), { mountId: "m1", volume: "p2" });
    await expect(unlock({ mount_id: "m1", volume: "p3", sealed: other }, services)).rejects.toMatchObject({ code: "invalid_request" });
    const elsewhere = await seal(secret, await unlockKey(key, services), { mountId: "m2", volume: "p2" });
    await expect(unlock({ mount_id: "m1", volume: "p2", sealed: elsewhere }, services)).rejects.toMatchObject({ code: "invalid_request" });
    await expect(unlock({ mount_id: "m2", volume: "p2", sealed: elsewhere }, services)).rejects.toMatchObject({ code: "mount_not_found" });
    expect(given).toHaveLength(1);
  });

  it("takes none that is late, foreign or broken", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { services } = agent();
    const issued = await unlockKey(key, services);
    const sealed = await seal(secret, issued, { mountId: "m1", volume: "p2" });
    vi.setSystemTime(Date.now() + 61_000);
    await expect(unlock({ mount_id: "m1", volume: "p2", sealed }, services)).rejects.toMatchObject({ code: "agent_timeout" });
    const foreign = await seal(secret, await unlockKey(key, agent().services), { mountId: "m1", volume: "p2" });
    for (const message of [foreign, "", "a.b.c.d.e", "x".repeat(100), sealed.slice(0, -4)]) {
      await expect(unlock({ mount_id: "m1", volume: "p2", sealed: message }, services)).rejects.toMatchObject({ code: "agent_timeout" });
    }
    const own = await unlockKey(key, services);
    const changed = (await seal(secret, own, { mountId: "m1", volume: "p2" })).replace(/.$/, (last) => (last === "A" ? "B" : "A"));
    await expect(unlock({ mount_id: "m1", volume: "p2", sealed: `${changed}x` }, services)).rejects.toMatchObject({ code: "invalid_request" });
  });

  it("limits wrong keys by disk and volume, and counts nothing else", async () => {
    let answer = new PluckError("io_error", "the storage failed");
    const { send } = agent(() => Promise.reject(answer));
    for (let attempt = 0; attempt < 8; attempt += 1) await expect(send()).rejects.toMatchObject({ code: "io_error" });
    answer = new PluckError("wrong_key", "no");
    for (let attempt = 0; attempt < 5; attempt += 1) await expect(send()).rejects.toMatchObject({ code: "wrong_key" });
    await expect(send()).rejects.toMatchObject({ code: "too_many_attempts", retryAfterS: 10 });
    await expect(send("p3")).rejects.toMatchObject({ code: "wrong_key" });
  });

  it("runs two at a time, and turns away what would wait too long", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let running = 0;
    let most = 0;
    const { send } = agent(async () => {
      running += 1;
      most = Math.max(most, running);
      await promise;
      running -= 1;
    });
    const all = Array.from({ length: 20 }, async (_, index) => await send(`p${index}`).then(() => "done", (error: PluckError) => error.code));
    await new Promise((done) => setTimeout(done, 200));
    resolve();
    const outcomes = await Promise.all(all);
    expect(outcomes.filter((outcome) => outcome === "done")).toHaveLength(18);
    expect(outcomes.filter((outcome) => outcome === "too_many_attempts")).toHaveLength(2);
    expect(most).toBe(2);
  });
});
