import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endMount } from "../../coordinator/services/mounts/end-mount.ts";
import { mountDisk } from "../../coordinator/services/mounts/mount-disk.ts";
import { sweepMounts } from "../../coordinator/services/sweep/sweep-mounts.ts";
import { isDatabaseUnavailable } from "../../coordinator/database/connect.ts";
import { PluckError } from "../../shared/errors.ts";
import { Random } from "../tools/random.ts";
import { startTestMariadb, type TestMariadb } from "../tools/mariadb.ts";
import type { FakeAgent } from "./fake-agent.ts";
import { eventually, makeSite, type TestCoordinator } from "./site.ts";

// Property: whatever happens in whatever order (kills, restarts, refusals, deletions, lost mounts),
// once it is quiet again the rows and the agent agree, nothing is stuck, and every disk can be opened.

let mariadb: TestMariadb;
beforeAll(async () => {
  mariadb = await startTestMariadb();
});
afterAll(async () => await mariadb.stop());

const disks = 6;
const seeds = Number(process.env["PLUCK_CHAOS_SEEDS"] ?? 3);
const steps = 120;

describe("chaos", () => {
  it.each(Array.from({ length: seeds }, (_, index) => index + 1))("heals (seed %i)", async (seed) => {
    const random = new Random(seed);
    const pick = (below: number): number => random.integer(0, below);
    const site = await makeSite(mariadb, { disks });
    const options = { timings: { claimMs: 600, mountTimeoutMs: 2000, unmountTimeoutMs: 800, strayConfirmMs: 50 }, mountWaitS: 1 };
    const startAgent = (): FakeAgent => site.agent({ slots: 4, heartbeatMs: 100 });
    let agent = startAgent();
    const coordinators: TestCoordinator[] = [await site.coordinator(options), await site.coordinator(options)];
    const asked: Promise<unknown>[] = [];
    const unexpected: unknown[] = [];
    const ask = (request: Promise<unknown>): void => {
      asked.push(request.catch((error: unknown) => {
        // What a user is told must be one of the stable codes, unless the coordinator itself was killed over it.
        if (!(error instanceof PluckError) && !isDatabaseUnavailable(error)) unexpected.push(error);
      }));
    };

    /** By somebody outside; it may lose against a coordinator's statement. */
    const meddle = async (statement: string): Promise<void> => void (await site.database.query(statement).catch(() => undefined));
    const actions: (() => Promise<void> | void)[] = [
      ...Array.from({ length: 8 }, () => () => ask(mountDisk({ ctx: coordinators[pick(2)]!.ctx, input: { backupId: "backup-1", diskIndex: pick(disks) } }))),
      ...Array.from({ length: 4 }, () => async () => {
        const rows = await site.rows();
        const row = rows[pick(Math.max(1, rows.length))];
        if (row !== undefined) ask(endMount({ ctx: coordinators[pick(2)]!.ctx, input: { mountId: row.id, reason: "requested" } }));
      }),
      () => {
        agent.kill();
        agent = startAgent();
      },
      () => void agent.open.delete(agent.mounts()[0] ?? ""),
      () => void (agent.mountDelayMs = [0, 0, 20, 200, 900][pick(5)] ?? 0),
      () => void (agent.refuse = pick(2) === 0 ? undefined : { code: "qcow2_missing", detail: "gone" }),
      () => void (agent.refuseUnmount = pick(3) > 0 ? undefined : { code: "internal", detail: "no" }),
      () => void (agent.isMute = pick(4) === 0),
      async () => await meddle(`DELETE FROM restore_mounts ORDER BY RAND(${pick(1000)}) LIMIT 1`),
      async () => await meddle("UPDATE restore_mounts SET expires_at = expires_at - INTERVAL 2 HOUR, last_accessed_at = last_accessed_at - INTERVAL 2 HOUR ORDER BY id LIMIT 1"),
      () => ask(sweepMounts({ ctx: coordinators[pick(2)]!.ctx, input: undefined })),
      async () => {
        const index = pick(2);
        await coordinators[index]!.close();
        coordinators[index] = await site.coordinator(options);
      },
      async () => {
        if (pick(3) === 0) await site.restartBroker(pick(200));
      },
    ];

    try {
      for (let step = 0; step < steps; step += 1) {
        await actions[pick(actions.length)]!();
        await sleep(pick(40));
      }
      Object.assign(agent, { mountDelayMs: 0, refuse: undefined, refuseUnmount: undefined, isMute: false });
      await Promise.all(asked);
      let seen = "";
      const look = async () => {
        const rows = await site.rows();
        seen = JSON.stringify({ rows, open: [...agent.open], opening: [...agent.opening], commands: agent.commands.slice(-5) });
        return rows;
      };
      const settled = async (what: string, ask: () => Promise<boolean>) =>
        await eventually(what, ask, 25_000).catch((error: unknown) => {
          throw new Error(`${String(error)}: ${seen}\n${coordinators.map(({ warnings }) => warnings.slice(-10).join("")).join("\n")}`);
        });
      await settled("rows and agent agree", async () => {
        const rows = await look();
        const open = new Map([...agent.open].map(([id, { nbdDevice }]) => [id, nbdDevice]));
        const mounted = rows.filter((row) => row.status === "mounted");
        return rows.every((row) => row.status === "mounted" || row.status === "failed") && mounted.length === open.size && mounted.every((row) => open.get(row.id) === row.nbd_device);
      });
      for (const row of await site.rows()) await endMount({ ctx: coordinators[0]!.ctx, input: { mountId: row.id, reason: "requested" } });
      await settled("all is ended", async () => (await look()).length === 0 && agent.mounts().length === 0);
      for (let diskIndex = 0; diskIndex < disks; diskIndex += 1) {
        const { mount } = await mountDisk({ ctx: coordinators[1]!.ctx, input: { backupId: "backup-1", diskIndex } });
        expect(mount.status).toBe("mounted");
        await endMount({ ctx: coordinators[0]!.ctx, input: { mountId: mount.mount_id, reason: "requested" } });
      }
      expect(unexpected).toEqual([]);
    } finally {
      await site.stop();
    }
  });
});
