import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Listing, Mount } from "../../shared/api.ts";
import { startSystem, type System } from "../system/system.ts";
import { isRoot } from "../tools/environment.ts";
import { benchRepository, bigFileBytes, diskOf, manyEntries, smallFileBytes, smallFiles } from "./images.ts";
import { type Bar, coolDown, coolDownFiles, mbPerS, median, ms, timed, times, toTable } from "./measure.ts";
import { exportStartMs, nbdcopyToNull, withExport, withKernelMount, withNginx } from "./peers.ts";

// npm run bench: each bar of ARCHITECTURE.md ("Promises: speed") against a named peer, in one run on
// one machine, cold. Every figure is a median; Pluck and peer take turns, so that a busy machine
// slows both. As an ordinary user the peers that need a kernel mount are left out.

/** `npm run bench -- mount archives`: only these. */
const only = process.argv.slice(2);
const rounds = Number(process.env["PLUCK_BENCH_ROUNDS"] ?? 3);
const mountRounds = 30;
const transfersAtOnce = 100;
const transferBytes = 64 * 1024 * 1024;
const names = ["big", "many", "small"] as const;
type DiskName = (typeof names)[number];

const repository = await benchRepository();
const fileOf = (name: DiskName): string => join(repository, diskOf(name));
const folder = await mkdtemp(join(tmpdir(), "pluck-bench-"));
const bars: Bar[] = [];
let system: System | undefined;
try {
  system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository, PLUCK_LOG_LEVEL: "warn" });
  await register(system);
  for (const [what, measure] of [
    ["mount latency", mountLatency],
    ["listing", listing],
    ["one large file", largeFile],
    ["archives", archives],
    ["transfers at once", manyTransfers],
  ] as const) {
    if (only.length > 0 && !only.some((word) => what.includes(word))) continue;
    process.stderr.write(`${what} ...\n`);
    await measure(system);
  }
} finally {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
}
console.log(toTable(bars));

async function register(on: System): Promise<void> {
  const { body } = await on.api("GET", "/repositories");
  for (const name of names) {
    const reply = await on.api("POST", "/backups", { vm_name: `bench-${name}`, repository_id: (body.repositories ?? body)[0].id, backup_id: name, disks: [{ disk_index: 0, qcow2_path: diskOf(name) }] });
    if (reply.status >= 300) throw new Error(`registering ${name}: ${reply.status} ${JSON.stringify(reply.body)}`);
  }
}

/** A fresh, cold mount of a disk for one measurement. */
async function withColdMount<T>(on: System, name: DiskName, use: (mount: Mount) => Promise<T>): Promise<T> {
  const mount = await on.mount(name, 0);
  try {
    await coolDown([fileOf(name)]);
    return await use(mount);
  } finally {
    await on.api("DELETE", `/restore/${mount.mount_id}`);
  }
}

async function link(on: System, mount: Mount, call: string): Promise<string> {
  const reply = await on.api("GET", `/restore/${mount.mount_id}/${call}`);
  const location = reply.headers.get("location");
  if (location === null) throw new Error(`${call}: ${reply.status} ${JSON.stringify(reply.body)}`);
  return location;
}

async function mountLatency(on: System): Promise<void> {
  const latencies: number[] = [];
  const listings: number[] = [];
  const starts: number[] = [];
  for (let round = 0; round < mountRounds; round += 1) {
    const name = names[round % names.length] ?? "small";
    // People don't mount thirty disks a second: the agent has its spare reader warm again by then.
    await sleep(1000);
    await coolDownFiles([fileOf(name)]);
    let mount: Mount | undefined;
    latencies.push(await timed(async () => (mount = await on.mount(name, 0))));
    const id = mount?.mount_id ?? "";
    listings.push(await timed(async () => await (await on.follow(`/restore/${id}/files?path=%2Fdisk`)).json()));
    await on.api("DELETE", `/restore/${id}`);
    await coolDownFiles([fileOf(name)]);
    starts.push(await exportStartMs(fileOf(name)));
  }
  const [p50, first] = [median(latencies), median(listings)];
  bars.push({ what: `POST /restore/mount to mounted, p50 of ${mountRounds}`, pluck: ms(p50), peer: `qemu-nbd alone, until it answers: ${ms(median(starts))}`, aim: "< 100 ms", isMet: p50 < 100 });
  bars.push({ what: "first listing after it, p50", pluck: ms(first), peer: "", aim: "", isMet: true });
}

async function listing(on: System): Promise<void> {
  const ours: number[] = [];
  const kernel: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(
      await withColdMount(on, "many", async (mount) => {
        const url = await link(on, mount, "files?path=%2Fdisk%2Fmany&limit=10000");
        return await timed(async () => {
          let seen = 0;
          for (let cursor: string | undefined = ""; cursor !== undefined; ) {
            const page = (await (await fetch(cursor === "" ? url : `${url}&cursor=${encodeURIComponent(cursor)}`)).json()) as Listing;
            seen += page.entries.length;
            cursor = page.next;
          }
          if (seen !== manyEntries) throw new Error(`listed ${seen} of ${manyEntries} entries`);
        });
      }),
    );
    const peer = await coldKernel("many", async (mountPoint) => {
      const { stdout } = await execa("sh", ["-c", 'ls -l "$1" | wc -l', "sh", join(mountPoint, "many")]);
      if (Number(stdout) !== manyEntries + 1) throw new Error(`ls listed ${stdout} lines`);
    });
    if (peer !== undefined) kernel.push(peer);
  }
  compare(`folder of ${manyEntries} entries`, median(ours), kernel.length > 0 ? ["ls -l on a kernel mount", median(kernel)] : undefined, 2);
}

async function largeFile(on: System): Promise<void> {
  const [ours, nbdcopy, kernel]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await withColdMount(on, "big", async (mount) => await curlMs(await link(on, mount, "download?path=%2Fdisk%2Fbig.bin"), bigFileBytes)));
    nbdcopy.push(
      await withExport(fileOf("big"), async (socket) => {
        await coolDown([fileOf("big")]);
        return await timed(async () => await nbdcopyToNull(socket));
      }),
    );
    if (isRoot()) {
      kernel.push(
        await withExport(fileOf("big"), async (socket) =>
          await withKernelMount(socket, async (mountPoint) =>
            await withNginx(mountPoint, async (url) => {
              await coolDown([fileOf("big")]);
              return await curlMs(`${url}/big.bin`, bigFileBytes);
            }),
          ),
        ),
      );
    }
  }
  const rate = (durations: readonly number[]): string => mbPerS(bigFileBytes, median(durations));
  const ratio = median(nbdcopy) / median(ours);
  bars.push({ what: "2 GiB file through HTTP", pluck: rate(ours), peer: `nbdcopy to null: ${rate(nbdcopy)}`, ratio: times(ratio), aim: ">= 0.7 x", isMet: ratio >= 0.7 });
  if (kernel.length > 0) bars.push({ what: "2 GiB file through HTTP", pluck: rate(ours), peer: `nginx on a kernel mount: ${rate(kernel)}`, ratio: times(median(kernel) / median(ours)), aim: "", isMet: true });
}

async function archives(on: System): Promise<void> {
  const kernel: number[] = [];
  const byFormat = { tar: [] as number[], zip: [] as number[] };
  const firstBytes: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const format of ["tar", "zip"] as const) {
      await withColdMount(on, "small", async (mount) => {
        const url = await link(on, mount, `download-directory?path=%2Fdisk%2Fsmall&format=${format}`);
        const { totalMs, firstByteMs, bytes } = await curl(url);
        if (bytes < smallFiles * smallFileBytes) throw new Error(`the ${format} has only ${bytes} bytes`);
        byFormat[format].push(totalMs);
        firstBytes.push(firstByteMs);
      });
    }
    const peer = await coldKernel("small", async (mountPoint) => await execa("sh", ["-c", 'tar -C "$1" -cf - small | cat > /dev/null', "sh", mountPoint]));
    if (peer !== undefined) kernel.push(peer);
  }
  for (const format of ["tar", "zip"] as const) {
    compare(`${smallFiles} files of ${smallFileBytes} bytes as ${format}`, median(byFormat[format]), kernel.length > 0 ? ["tar on a kernel mount", median(kernel)] : undefined, 2);
  }
  bars.push({ what: "first byte of such an archive", pluck: ms(median(firstBytes)), peer: "", aim: "< 200 ms", isMet: median(firstBytes) < 200 });
}

async function manyTransfers(on: System): Promise<void> {
  const agent = await agentPid(on.pid);
  await withColdMount(on, "big", async (mount) => {
    const url = await link(on, mount, "download?path=%2Fdisk%2Fbig.bin");
    let peakBytes = 0;
    const sampler = setInterval(() => void residentBytes(agent).then((bytes) => (peakBytes = Math.max(peakBytes, bytes)), () => undefined), 50);
    const duration = await timed(
      async () =>
        await Promise.all(
          Array.from({ length: transfersAtOnce }, async (_, index) => {
            const start = (index * 17 * 1024 * 1024) % (bigFileBytes - transferBytes);
            const { bytes } = await curl(url, ["--range", `${start}-${start + transferBytes - 1}`]);
            if (bytes !== transferBytes) throw new Error(`transfer ${index} got ${bytes} of ${transferBytes} bytes`);
          }),
        ),
    );
    clearInterval(sampler);
    const peakMib = Math.round(peakBytes / 1024 / 1024);
    bars.push({ what: `agent's RSS, ${transfersAtOnce} transfers at once`, pluck: `${peakMib} MiB, ${mbPerS(transfersAtOnce * transferBytes, duration)} in all`, peer: "", aim: "< 512 MiB", isMet: peakMib < 512 });
  });
}

/** Milliseconds of `use` on a cold kernel mount; undefined where we may not mount. */
async function coldKernel(name: DiskName, use: (mountPoint: string) => Promise<unknown>): Promise<number | undefined> {
  if (!isRoot()) return undefined;
  return await withExport(fileOf(name), async (socket) =>
    await withKernelMount(socket, async (mountPoint) => {
      await coolDown([fileOf(name)]);
      return await timed(async () => await use(mountPoint));
    }),
  );
}

function compare(what: string, oursMs: number, peer: readonly [string, number] | undefined, aim: number): void {
  const ratio = peer === undefined ? undefined : peer[1] / oursMs;
  bars.push({
    what,
    pluck: ms(oursMs),
    peer: peer === undefined ? "needs root" : `${peer[0]}: ${ms(peer[1])}`,
    ...(ratio === undefined ? {} : { ratio: times(ratio) }),
    aim: `>= ${aim} x`,
    isMet: ratio === undefined ? undefined : ratio >= aim,
  });
}

async function curlMs(url: string, bytes: number): Promise<number> {
  const result = await curl(url);
  if (result.bytes !== bytes) throw new Error(`got ${result.bytes} of ${bytes} bytes`);
  return result.totalMs;
}

async function curl(url: string, more: readonly string[] = []): Promise<{ totalMs: number; firstByteMs: number; bytes: number }> {
  const { stdout } = await execa("curl", ["--silent", "--show-error", "--fail", "--output", "/dev/null", "--write-out", "%{time_total} %{time_starttransfer} %{size_download}", ...more, url]);
  const [total = 0, first = 0, bytes = 0] = stdout.split(" ").map(Number);
  return { totalMs: total * 1000, firstByteMs: first * 1000, bytes };
}

async function agentPid(parent: number): Promise<number> {
  const { stdout } = await execa("ps", ["-o", "pid=,args=", "--ppid", String(parent)]);
  const row = stdout.split("\n").find((line) => line.includes("agent/main.ts"));
  if (row === undefined) throw new Error("the agent's process is not among the children of the start command");
  return Number.parseInt(row, 10);
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
