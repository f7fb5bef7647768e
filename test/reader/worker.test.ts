import { afterEach, describe, expect, test, vi } from "vitest";
import { PluckError } from "../../shared/errors.ts";
import type { WalkEntry } from "../../agent/reader/disk-reader.ts";
import { WorkerPool, type WorkerPoolOptions } from "../../agent/reader/worker-pool.ts";
import type { WorkerDisk } from "../../agent/reader/worker-disk.ts";

const entry = new URL("./hostile-worker.ts", import.meta.url);
const pools: WorkerPool[] = [];

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

function startPool(watchdog: WorkerPoolOptions["watchdog"] = {}): WorkerPool {
  const pool = new WorkerPool({ entry, spareWorkers: 1, watchdog });
  pools.push(pool);
  return pool;
}

async function open(volumes = "p1", watchdog: WorkerPoolOptions["watchdog"] = {}): Promise<WorkerDisk> {
  const disk = await startPool(watchdog).open({ socketPath: "", diskId: volumes });
  pools.push({ close: () => disk.worker.close() } as WorkerPool);
  return disk;
}

const at = (path: string, withinDepth = 0) => ({ segments: path.split("/").filter((name) => name !== ""), withinDepth });
const list = (disk: WorkerDisk, path: string) => disk.list({ ...at(path), recursive: false, limit: 10_000 });

async function failure(promise: Promise<unknown>): Promise<PluckError> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (cause: unknown) => cause,
  );
  if (error instanceof PluckError) return error;
  throw error;
}

describe("a reader behind its worker", () => {
  test("answers as the reader itself: listings, details, sizes beyond numbers, errors with their codes", async () => {
    const disk = await open("p1,p2");
    expect(disk.volumes.map((volume) => volume.name)).toEqual(["p1", "p2"]);
    expect((await list(disk, "/")).nodes.map((node) => node.path[0])).toEqual(["p1", "p2"]);
    const page = await list(disk, "/p1");
    expect(page.nodes.find((node) => node.path[1] === "huge")?.size).toBe(2n ** 60n);
    expect(page.nodes.find((node) => node.path[1] === "link")).toMatchObject({ type: "symlink", symlinkTarget: "hello.txt" });
    expect((await disk.info(at("/p1/xattr"))).xattrs).toEqual([["user.a", new Uint8Array([0, 7, 14, 21, 28])]]);
    expect(await disk.resolve(at("/p1/link"))).toMatchObject({ path: ["p1", "hello.txt"], size: 5, type: "file" });
    expect((await failure(disk.resolve(at("/p1/none")))).code).toBe("path_not_found");
    expect((await failure(disk.resolve(at("/p1/huge")))).code).toBe("unsupported");
  });

  test("streams several files at a time, exact to the byte", async () => {
    const disk = await open();
    const read = async (offset: number, length: number) => {
      let position = offset;
      for await (const chunk of disk.read({ ...at("/p1/large"), offset, length })) {
        for (let index = 0; index < chunk.length; index += 4099) {
          if (chunk[index] !== ((((position + index) % (1 << 20)) * 7) % 251)) throw new Error(`wrong byte at ${position + index}`);
        }
        position += chunk.length;
      }
      return position - offset;
    };
    expect(await Promise.all([read(0, 64 << 20), read(1234, 20_000_000), read(5, 1), read(0, 0), read(63 << 20, 1 << 20)])).toEqual([64 << 20, 20_000_000, 1, 0, 1 << 20]);
  });

  test("a stream that nobody takes stops reading, and a cancelled one ends", async () => {
    const disk = await open();
    const before = process.memoryUsage().arrayBuffers;
    const stalled = disk.read({ ...at("/p1/large"), offset: 0, length: 64 << 20 }).getReader();
    await stalled.read();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
    // Others go on while it stands.
    expect((await new Response(disk.read({ ...at("/p1/hello.txt"), offset: 0, length: 5 })).text())).toBe("hello");
    await stalled.cancel();
    for await (const item of disk.walk(at("/p1/small"))) if (item.kind === "data") break;
    expect((await disk.resolve(at("/p1/hello.txt"))).size).toBe(5);
  });

  test("walks with every entry and every byte in order", async () => {
    const disk = await open();
    const found: [string, string][] = [];
    let last: WalkEntry | undefined;
    let data = "";
    for await (const item of disk.walk(at("/p1/small"))) {
      if (item.kind === "data") data += Buffer.from(item.bytes).toString();
      else {
        if (last !== undefined) found.push([last.path.join("/"), data]);
        last = item;
        data = "";
      }
    }
    found.push([last!.path.join("/"), data]);
    expect(found).toHaveLength(3001);
    expect(found.slice(1).every(([name, contents]) => contents === `contents of ${Number(name.slice(1))}`)).toBe(true);
  });

  test("a closed disk fails what was asked of it as a mount that is gone", async () => {
    const disk = await open();
    const reader = disk.read({ ...at("/p1/large"), offset: 0, length: 64 << 20 }).getReader();
    await reader.read();
    await disk.worker.close();
    expect((await failure(list(disk, "/p1"))).code).toBe("mount_not_found");
    expect((await failure((async () => { while (!(await reader.read()).done); })())).code).toBe("mount_not_found");
  });
});

describe("a worker that is led astray", () => {
  // Long enough that a worker which a loaded machine keeps waiting is not taken for a lost one.
  const watchdog = { timeoutMs: 2000, intervalMs: 100 };

  test("an endless loop ends that disk with corrupt, also for those who wait, and no other disk", async () => {
    const [astray, other] = [await open("p1", watchdog), await open("p1", watchdog)];
    const stream = astray.read({ ...at("/p1/large"), offset: 0, length: 64 << 20 }).getReader();
    await stream.read();
    const listing = failure(list(astray, "/p1/spin"));
    const waiting = failure(astray.info(at("/p1/hello.txt")));
    const streaming = failure((async () => { while (!(await stream.read()).done); })());
    for (const error of await Promise.all([listing, waiting, streaming])) {
      expect(error).toMatchObject({ code: "corrupt", message: expect.stringContaining("stopped answering") });
    }
    expect(astray.worker.lost.aborted).toBe(true);
    expect((await failure(list(astray, "/p1"))).code).toBe("corrupt");
    expect((await list(other, "/p1")).nodes.length).toBeGreaterThan(0);
    expect(other.worker.lost.aborted).toBe(false);
  });

  test("a heap that grows without end ends the worker, not the agent", async () => {
    const disk = await open("p1", { timeoutMs: 60_000 });
    expect(await failure(list(disk, "/p1/heap"))).toMatchObject({ code: "corrupt", message: expect.stringContaining("memory") });
  });

  test("buffers that grow without end are noticed from outside the heap", async () => {
    const disk = await open("p1", { timeoutMs: 60_000, intervalMs: 50, maxExternalBytes: 200 * 1024 * 1024 });
    expect(await failure(list(disk, "/p1/buffers"))).toMatchObject({ code: "corrupt", message: expect.stringContaining("buffers") });
  });

  test("an error outside of every request ends that worker with corrupt", async () => {
    const disk = await open();
    await list(disk, "/p1/crash").catch(() => undefined);
    // The answer may be here before the worker's end is.
    await vi.waitFor(() => expect(disk.worker.lost.aborted).toBe(true), 10_000);
    expect((await failure(disk.info(at("/p1/hello.txt")))).code).toBe("corrupt");
  });

  test("a worker that is busy but answers is left alone", async () => {
    const disk = await open("p1", { timeoutMs: 1500, intervalMs: 50 });
    for (const startedAtMs = Date.now(); Date.now() - startedAtMs < 3000;) {
      for await (const _ of disk.walk(at("/p1/small")));
    }
    expect(disk.worker.lost.aborted).toBe(false);
  });

  test("a volume that hangs while it is opened is listed as damaged, the others are open", async () => {
    const disk = await open("p1,spin2,p3", watchdog);
    expect(disk.volumes.map((volume) => [volume.name, volume.readable, volume.error?.code])).toEqual([
      ["p1", true, undefined],
      ["spin2", false, "corrupt"],
      ["p3", true, undefined],
    ]);
    expect((await disk.resolve(at("/p3/hello.txt"))).size).toBe(5);
  });
});
