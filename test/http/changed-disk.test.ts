import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../tools/environment.ts";
import { createFakeAgent, listenFakeAgent, type FakeAgent } from "./fake-agent.ts";
import { file, folder, type FakeNode } from "./fake-reader.ts";

// Property: an answer that was read while a job wrote to the backup is never taken for whole.

const curlPartialFile = 18;
const bigBytes = 8_000_000;
const disk: readonly FakeNode[] = [
  folder("p1", [
    { name: "big.bin", type: "file", patternBytes: bigBytes },
    file("small.txt", "small"),
    file("empty.txt", ""),
    folder("tree", [file("a.txt", "a"), { name: "b.bin", type: "file", patternBytes: bigBytes }]),
  ]),
];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(): Promise<{ agent: FakeAgent; url: string; target: string }> {
  const agent = await createFakeAgent(disk);
  const server = await listenFakeAgent(agent);
  const path = await temporaryFolder();
  cleanups.push(async () => await rm(path, { recursive: true, force: true }), server.close);
  return { agent, url: server.url, target: join(path, "target") };
}

describe("a disk that changes", () => {
  it.each(["download", "files", "file-info"] as const)("before %s is answered: 409", async (route) => {
    const { agent } = await start();
    agent.changeDiskAfter(0);
    for (const path of ["/p1/small.txt", "/p1/empty.txt", "/p1/tree"]) {
      if (route === "files" && path !== "/p1/tree") continue;
      const response = await agent.get(route, path);
      expect(response.status).toBe(409);
      expect(await response.json()).toMatchObject({ code: "backup_in_use" });
      expect((await agent.get(route, path, { method: "HEAD" })).status).toBe(409);
    }
    expect((await agent.get(route, "/p1/none")).status).toBe(409);
    expect(agent.mount.transfers).toBe(0);
  });

  it("while a small file is read: 409, and none of its bytes", async () => {
    const { agent } = await start();
    agent.changeDiskAfter(1);
    const response = await agent.get("download", "/p1/small.txt");
    expect(response.status).toBe(409);
    expect(await response.text()).not.toContain('"small"');
    expect(agent.events).toMatchObject([{ outcome: "backup_in_use" }]);
  });

  it.each([
    ["the whole file", undefined],
    ["a range", "0-7999999"],
    ["several ranges", "0-3999999,4500000-7999999"],
  ])("with the very last byte of %s: the connection breaks, and curl knows", async (_, range) => {
    const { agent, url, target } = await start();
    agent.changeDiskAfter(range === "0-3999999,4500000-7999999" ? 7_500_000 : bigBytes);
    const link = url + (await agent.link("download", "/p1/big.bin"));
    const result = await execa("curl", ["-sS", "-o", target, ...(range === undefined ? [] : ["-r", range]), link], { reject: false });
    expect(result.exitCode).toBe(curlPartialFile);
    expect((await readFile(target)).length).toBeLessThan(bigBytes);
    expect(agent.events).toMatchObject([{ outcome: "backup_in_use" }]);
    expect(agent.mount.transfers).toBe(0);
  });

  it.each(["zip", "tar", "tar.gz", "tar.zst"])("with the very last byte of a folder: a %s without its trailer, and curl knows", async (format) => {
    const { agent, url, target } = await start();
    agent.changeDiskAfter(bigBytes + 1);
    const result = await execa("curl", ["-sS", "-o", target, url + (await agent.link("archive", "/p1/tree", { format }))], { reject: false });
    expect(result.exitCode).toBe(curlPartialFile);
    const got = await readFile(target);
    if (format === "zip") expect(got.includes(Buffer.from([0x50, 0x4b, 5, 6]))).toBe(false);
    if (format === "tar") expect(got.subarray(-1024).every((byte) => byte === 0) && got.length > bigBytes + 1024).toBe(false);
    expect(agent.events).toMatchObject([{ outcome: "backup_in_use" }]);
  });
});
