/**
 * How fast the NBD client is, next to nbdcopy from the same qemu-nbd to nowhere.
 *
 *   node test/nbd/throughput.ts [gigabytes] [rounds]
 *
 * Both take turns on one export, so that a busy machine slows both; the best round of each counts.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { execa } from "execa";
import { openExport } from "../../agent/export/export.ts";

const CHUNK_BYTES = 1 << 20;
const [gigabytes = 2, rounds = 3] = process.argv.slice(2).map(Number);

/** As the agent's reader does: in a worker, with a few large reads at a time. */
const readerSource = `
  const { parentPort, workerData } = require("node:worker_threads");
  (async () => {
    const { openNbd } = await import(workerData.module);
    const source = await openNbd({ socketPath: workerData.socketPath });
    const start = performance.now();
    let at = 0;
    await Promise.all(Array.from({ length: workerData.depth }, async () => {
      const target = Buffer.allocUnsafeSlow(workerData.chunkBytes);
      while (at < source.sizeBytes) {
        const offset = at;
        at += target.length;
        await source.readInto(offset, target.subarray(0, Math.min(target.length, source.sizeBytes - offset)));
      }
    }));
    parentPort.postMessage((performance.now() - start) / 1000);
    await source.close();
  })();`;

function readAll(socketPath: string, depth: number): Promise<number> {
  const module = new URL("../../agent/nbd/nbd-source.ts", import.meta.url).href;
  const worker = new Worker(readerSource, { eval: true, workerData: { module, socketPath, depth, chunkBytes: CHUNK_BYTES } });
  return new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
}

async function nbdcopy(socketPath: string): Promise<number> {
  const start = performance.now();
  const child = spawn("nbdcopy", [`nbd+unix:///?socket=${socketPath}`, "null:"], { stdio: "inherit" });
  await new Promise((resolve, reject) => child.once("exit", resolve).once("error", reject));
  return (performance.now() - start) / 1000;
}

const folder = await mkdtemp(path.join(process.env["TMPDIR"] ?? (os.platform() === "linux" ? "/dev/shm" : os.tmpdir()), "pluck-speed-"));
try {
  const raw = await open(path.join(folder, "disk.raw"), "w");
  // No zeros anywhere: nbdcopy would pass over them.
  const block = randomBytes(64 * CHUNK_BYTES);
  for (let at = 0; at < gigabytes * 1024; at += 64) await raw.write(block, 0, block.length, at * CHUNK_BYTES);
  await raw.close();
  await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"], { cwd: folder });
  await rm(path.join(folder, "disk.raw"));
  const disk = await openExport({ repositoryRoot: folder, path: "disk.qcow2", runDir: path.join(folder, "run") });
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, run] of [
      ["nbdcopy", () => nbdcopy(disk.socketPath)],
      ["readInto, 4 at a time", () => readAll(disk.socketPath, 4)],
      ["readInto, 8 at a time", () => readAll(disk.socketPath, 8)],
    ] as const) {
      const seconds = await run();
      best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, seconds));
      console.log(`${name}: ${Math.round(disk.chain.virtualSizeBytes / seconds / 1e6)} MB/s`);
    }
  }
  const reference = best.get("nbdcopy") ?? Number.NaN;
  for (const [name, seconds] of best) console.log(`best ${name}: ${(reference / seconds).toFixed(2)} x nbdcopy`);
  await disk.close();
} finally {
  await rm(folder, { recursive: true, force: true });
}
