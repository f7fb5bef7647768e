import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, describe, expect, it } from "vitest";
import { PluckError } from "../../shared/errors.ts";
import { requireTools, temporaryFolder } from "../tools/environment.ts";
import { soon } from "../tools/soon.ts";
import { createFakeAgent, listenFakeAgent, type FakeAgent } from "./fake-agent.ts";
import { file, folder, patternOf, type FakeNode } from "./fake-reader.ts";

/** Archives of a selection, and hashes, over real sockets: what breaks must look broken to curl. */
requireTools("curl", "tar", "unzip");
const curlPartialFile = 18;
const bigBytes = 40_000_000;

const disk: readonly FakeNode[] = [
  folder("p1", [
    file("a.txt", "a"),
    folder("deep", [folder("er", [file("b.txt", "b")])]),
    { name: "big.bin", type: "file", patternBytes: bigBytes },
    { name: "torn.bin", type: "file", patternBytes: bigBytes, failsAt: 10_000_000 },
    { name: "bad.bin", type: "file", error: { code: "corrupt", detail: "its inode is damaged" } },
  ]),
];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(stalledClientMs?: number): Promise<{ agent: FakeAgent; url: string; folder: string }> {
  const agent = await createFakeAgent(disk);
  const server = await listenFakeAgent(agent, stalledClientMs);
  const path = await temporaryFolder();
  cleanups.push(async () => await rm(path, { recursive: true, force: true }), server.close);
  return { agent, url: server.url, folder: path };
}

const curl = async (target: string, to: { url: string; selection: string }, base: string) =>
  await execa("curl", ["-sS", "-o", target, "--data-urlencode", "selection@-", base + to.url], { input: to.selection, reject: false });

async function problem(response: Response | Promise<Response>): Promise<[number, string]> {
  const got = await response;
  return [got.status, ((await got.json()) as { code: string }).code];
}

describe("an archive of a selection", () => {
  it.each(["zip", "tar", "tar.gz", "tar.zst"] as const)("%s: a byte that can't be read breaks it, without a trailer, and curl knows", async (format) => {
    const { agent, url, folder } = await start();
    const target = join(folder, `torn.${format}`);
    expect((await curl(target, await agent.selection(["/p1/a.txt", "/p1/torn.bin"], format), url)).exitCode).toBe(curlPartialFile);
    const bytes = await readFile(target);
    expect([bytes.length > 512, bytes.includes("SECRET"), bytes.includes("Error")]).toEqual([true, false, false]);
    const check = format === "zip" ? await execa("unzip", ["-t", target], { reject: false }) : await execa("tar", ["-tf", target], { reject: false });
    expect(check.exitCode).not.toBe(0);
    await soon(() => expect(agent.events).toMatchObject([{ outcome: "io_error", operation: "archive", path: "/p1/a.txt\n/p1/torn.bin", mount_id: "m1", user: "tester" }]));
    expect(agent.mount.transfers).toBe(0);
  });

  it("breaks when the disk's files changed meanwhile, and when the mount ends", async () => {
    const { agent, url, folder } = await start();
    agent.changeDiskAfter(1_000_000);
    expect((await curl(join(folder, "changed"), await agent.selection(["/p1/a.txt", "/p1/big.bin"]), url)).exitCode).toBe(curlPartialFile);
    await soon(() => expect(agent.events).toMatchObject([{ outcome: "backup_in_use" }]));
    agent.changeDiskAfter(Infinity);
    agent.reader.delayMs = 50;
    const running = curl(join(folder, "ended"), await agent.selection(["/p1/big.bin"]), url);
    await soon(() => expect(agent.mount.transfers).toBe(1));
    await soon(async () => expect((await readFile(join(folder, "ended"))).length).toBeGreaterThan(0));
    agent.endMount(new PluckError("mount_not_found", "The mount has ended."));
    expect((await running).exitCode).toBe(curlPartialFile);
    await soon(() => expect(agent.events[1]).toMatchObject({ outcome: "mount_not_found" }));
  });

  it("begins below the common folder, without entries for folders that were not asked for", async () => {
    const { agent, url, folder } = await start();
    const target = join(folder, "whole.tar");
    expect((await curl(target, await agent.selection(["/p1/a.txt", "/p1/deep/er/b.txt"]), url)).exitCode).toBe(0);
    expect((await execa("tar", ["-tf", target])).stdout).toBe("a.txt\ndeep/er/b.txt");
    await soon(() => expect(agent.events).toMatchObject([{ outcome: "complete" }]));
    expect(agent.events[0]?.bytes).toBe((await readFile(target)).length);
  });

  it("is refused in time when an entry is known to be unreadable, or reports it where that was asked for", async () => {
    const { agent, url, folder } = await start();
    const order = await agent.selection(["/p1/a.txt", "/p1/bad.bin"]);
    expect(await problem(fetch(url + order.url, { method: "POST", body: new URLSearchParams({ selection: order.selection }) }))).toEqual([422, "corrupt"]);
    const target = join(folder, "reported.tar");
    expect((await curl(target, { ...order, url: `${order.url}&on_error=report` }, url)).exitCode).toBe(0);
    expect((await execa("tar", ["-xOf", target, "PLUCK-ERRORS.txt"])).stdout).toContain("/bad.bin\tcorrupt\tits inode is damaged");
  });

  it("needs a link of this agent, in time, for this selection, signed by who opened its mounts", async () => {
    const { agent, url } = await start();
    const post = async (order: { url: string; selection: string }, selection = order.selection): Promise<[number, string]> =>
      await problem(fetch(url + order.url, { method: "POST", body: new URLSearchParams({ selection }) }));
    expect(await post(await agent.selection(["/p1"], "tar", { lifeS: -10 }))).toEqual([403, "link_expired"]);
    expect(await post(await agent.selection(["/p1"], "tar", { agentId: "agent-2" }))).toEqual([403, "link_invalid"]);
    expect(await post(await agent.selection(["/p1"], "tar", { selectionSha256: "0".repeat(64) }))).toEqual([403, "link_invalid"]);
    expect(await post(await agent.selection(["/p1"], "tar", { format: "rar" as "tar" }))).toEqual([403, "link_invalid"]);
    expect(await post(await agent.selection(["/p1"], "tar", { mountId: "m2" }))).toEqual([404, "mount_not_found"]);
    expect(await post(await agent.selection(["/p1/../p2"]))).toEqual([400, "invalid_request"]);
    const nonsense = "bm9uc2Vuc2U";
    expect(await post(await agent.selection(["/p1"], "tar", { selectionSha256: createHash("sha256").update(nonsense).digest("hex") }), nonsense)).toEqual([400, "invalid_request"]);
    const other = await createFakeAgent(disk);
    expect(await post(await other.selection(["/p1"]))).toEqual([403, "link_invalid"]);
    expect(agent.events).toEqual([]);
    expect(agent.logLines.join("")).not.toContain((await agent.selection(["/p1"])).url.slice(-40));
  });

  it("takes no more of a form than a selection can have, also when its length is not told, and none before the link is verified", async () => {
    const { agent, url } = await start();
    const order = await agent.selection(["/p1/a.txt"]);
    const pour = async (path: string): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const sent = request(url + path, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" } }, (response) => {
          resolve(response.statusCode);
          sent.destroy();
        });
        // The agent closes on whoever goes on sending.
        sent.on("error", (error) => (error.message.includes("socket hang up") || "code" in error ? resolve(undefined) : reject(error)));
        const more = (): void => {
          if (!sent.destroyed) sent.write("x".repeat(65_536), () => setImmediate(more));
        };
        more();
      });
    expect([413, undefined]).toContain(await pour(order.url));
    expect([401, undefined]).toContain(await pour("/v1/archive"));
  });
});

describe("the hash of a file", () => {
  it("is given however long the client has to wait", async () => {
    const { agent, url } = await start(200);
    agent.reader.delayMs = 10;
    const response = await fetch(`${url}${await agent.link("file-info", "/p1/big.bin")}&hash=sha256`);
    expect(((await response.json()) as { sha256: string }).sha256).toBe(createHash("sha256").update(patternOf(0, bigBytes)).digest("hex"));
    expect([agent.mount.transfers, agent.reader.openReads, agent.events]).toEqual([0, 0, []]);
  });

  it("stops reading when the client goes away, and when the mount ends", async () => {
    const { agent, url } = await start();
    agent.reader.delayMs = 50;
    const link = `${url}${await agent.link("file-info", "/p1/big.bin")}&hash=sha256`;
    const client = new AbortController();
    const asked = fetch(link, { signal: client.signal }).catch((error: unknown) => error);
    await soon(() => expect(agent.mount.transfers).toBe(1));
    client.abort();
    expect(await asked).toBeInstanceOf(Error);
    await soon(() => expect([agent.mount.transfers, agent.reader.openReads]).toEqual([0, 0]));
    expect(agent.reader.readBytes).toBeLessThan(bigBytes);
    const ended = problem(fetch(link));
    await soon(() => expect(agent.mount.transfers).toBe(1));
    agent.endMount(new PluckError("mount_not_found", "The mount has ended."));
    expect(await ended).toEqual([404, "mount_not_found"]);
    expect([agent.mount.transfers, agent.reader.openReads]).toEqual([0, 0]);
  });

  it("is not given of a file that can't be read, or whose disk changed", async () => {
    const { agent, url } = await start();
    expect(await problem(fetch(`${url}${await agent.link("file-info", "/p1/torn.bin")}&hash=sha256`))).toEqual([502, "io_error"]);
    agent.changeDiskAfter(agent.reader.readBytes + 1_000_000);
    expect(await problem(fetch(`${url}${await agent.link("file-info", "/p1/big.bin")}&hash=sha256`))).toEqual([409, "backup_in_use"]);
  });
});
