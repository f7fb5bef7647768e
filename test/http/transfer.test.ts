import { writeFile, readFile, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../tools/environment.ts";
import { createFakeAgent, listenFakeAgent, type FakeAgent } from "./fake-agent.ts";
import { file, folder, patternOf, type FakeNode } from "./fake-reader.ts";
import { soon } from "../tools/soon.ts";

/** Over real sockets, with curl as the client: what breaks must look broken to it. */
const curlPartialFile = 18;
const bigBytes = 40_000_000;

const disk: readonly FakeNode[] = [
  folder("p1", [
    { name: "big.bin", type: "file", patternBytes: bigBytes },
    { name: "torn.bin", type: "file", patternBytes: bigBytes, failsAt: 10_000_000 },
    folder("whole", [file("a.txt", "a"), { name: "b.bin", type: "file", patternBytes: 3_000_000 }]),
    folder("torn", [file("a.txt", "a"), { name: "b.bin", type: "file", patternBytes: bigBytes, failsAt: 10_000_000 }, file("c.txt", "c")]),
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

describe("downloads over a socket", () => {
  it("arrive whole, are resumed by curl, and answer HEAD", async () => {
    const { agent, url, folder } = await start();
    const link = url + (await agent.link("download", "/p1/big.bin"));
    const target = join(folder, "big.bin");
    const expected = patternOf(0, bigBytes);
    await writeFile(target, expected.subarray(0, 1_234_567));
    await execa("curl", ["-sSf", "-C", "-", "-o", target, link]);
    expect((await readFile(target)).equals(expected)).toBe(true);
    const { stdout } = await execa("curl", ["-sSfI", link]);
    expect(stdout).toMatch(/^content-length: 40000000\r?$/im);
    expect(agent.mount.transfers).toBe(0);
    expect(agent.events).toMatchObject([{ outcome: "complete", bytes: bigBytes - 1_234_567 }]);
  });

  it("break the connection when a byte can't be read, and tell nothing of the inside", async () => {
    const { agent, url, folder } = await start();
    const target = join(folder, "torn.bin");
    const result = await execa("curl", ["-sS", "-o", target, url + (await agent.link("download", "/p1/torn.bin"))], { reject: false });
    expect(result.exitCode).toBe(curlPartialFile);
    const got = await readFile(target);
    expect(got.length).toBeLessThanOrEqual(10_000_000);
    expect(got.equals(patternOf(0, got.length))).toBe(true);
    expect(agent.events).toMatchObject([{ outcome: "io_error" }]);
    expect(agent.mount.transfers).toBe(0);
  });

  it("stop reading the disk soon after the client went away", async () => {
    const { agent, url } = await start();
    const result = await execa("curl", ["-sS", "--limit-rate", "1M", "--max-time", "1", "-o", "/dev/null", url + (await agent.link("download", "/p1/big.bin"))], { reject: false });
    expect(result.exitCode).toBe(28);
    await soon(() => expect(agent.events).toMatchObject([{ outcome: "client_gone" }]));
    expect(agent.reader.openReads).toBe(0);
    expect(agent.reader.readBytes).toBeLessThan(bigBytes);
    expect(agent.events[0]?.bytes).toBeLessThan(bigBytes);
  });

  it("break when the mount ends, also while the client takes nothing", async () => {
    const { agent, url } = await start();
    const link = new URL(url + (await agent.link("download", "/p1/big.bin")));
    const socket = createConnection(Number(link.port), link.hostname);
    const received: Buffer[] = [];
    socket.on("error", () => undefined);
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.write(`GET ${link.pathname}${link.search} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await soon(() => expect(agent.mount.transfers).toBe(1));
    agent.endMount(new Error("unmounted"));
    await soon(() => expect(agent.mount.transfers).toBe(0));
    socket.on("data", (bytes) => received.push(bytes));
    await closed;
    expect(Buffer.concat(received).length).toBeLessThan(bigBytes);
    expect(agent.reader.openReads).toBe(0);
  });

  it("to a client that takes nothing time out, to a slow one go on", async () => {
    const { agent, url } = await start(1500);
    const link = new URL(url + (await agent.link("download", "/p1/big.bin")));
    const stalled = createConnection(Number(link.port), link.hostname);
    stalled.on("error", () => undefined);
    stalled.write(`GET ${link.pathname}${link.search} HTTP/1.1\r\nHost: x\r\n\r\n`);
    stalled.pause();
    await soon(() => expect(agent.events).toMatchObject([{ outcome: "client_gone" }]));
    stalled.destroy();
    const { stdout } = await execa("curl", ["-sSf", "--limit-rate", "10M", "-o", "/dev/null", "-w", "%{size_download}", link.href]);
    expect(stdout).toBe(String(bigBytes));
    await soon(() => expect(agent.events[1]).toMatchObject({ outcome: "complete", bytes: bigBytes }));
  });
});

describe("archives over a socket", () => {
  it.each(["zip", "tar", "tar.gz", "tar.zst"])("%s: one that fails has no trailer, and curl knows", async (format) => {
    const { agent, url, folder } = await start();
    const target = join(folder, `torn.${format}`);
    const result = await execa("curl", ["-sS", "-o", target, url + (await agent.link("archive", "/p1/torn", { format }))], { reject: false });
    expect(result.exitCode).toBe(curlPartialFile);
    const bytes = await readFile(target);
    expect(bytes.length).toBeGreaterThan(512);
    expect(bytes.includes("SECRET")).toBe(false);
    expect(bytes.includes("Error")).toBe(false);
    const check = format === "zip" ? await execa("unzip", ["-t", target], { reject: false }) : await execa("tar", ["-tf", target], { reject: false });
    expect(check.exitCode).not.toBe(0);
    expect(agent.events).toMatchObject([{ outcome: "io_error", operation: "archive" }]);
  });

  it("end cleanly when whole, and HEAD walks nothing", async () => {
    const { agent, url, folder } = await start();
    const target = join(folder, "whole.zip");
    const link = url + (await agent.link("download", "/p1/whole"));
    const head = await execa("curl", ["-sSfI", link]);
    expect(head.stdout).toMatch(/^content-disposition: attachment; filename=whole.zip\r?$/im);
    expect(head.stdout).not.toMatch(/content-length|accept-ranges: bytes/i);
    expect(agent.reader.readBytes).toBe(0);
    await execa("curl", ["-sSf", "-r", "0-99", "-o", target, link]);
    await execa("unzip", ["-tq", target]);
    expect(agent.events).toMatchObject([{ outcome: "complete", operation: "archive", bytes: (await readFile(target)).length }]);
  });
});
