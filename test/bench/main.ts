import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Listing, Mount } from "../../shared/api.ts";
import { startSystem, type System } from "../system/system.ts";
import { isRoot } from "../tools/environment.ts";
import { benchRepository, bigFileBytes, compressedFileBytes, diskOf, manyEntries, smallFileBytes, smallFiles, typeOf, type DiskName } from "./images.ts";
import { type Bar, coolDown, coolDownFiles, mbPerS, median, ms, timed, times, toTable } from "./measure.ts";
import { exportStartMs, nbdcopyToNull, withExport, withKernelMount, withNginx } from "./peers.ts";

// npm run bench: each bar of ARCHITECTURE.md ("Promises: speed") against a named peer, in one run on
// one machine, cold. Every figure is a median; Pluck and peer take turns, so that a busy machine
// slows both. As an ordinary user the peers that need a kernel mount are left out.

const rounds = Number(process.env["PLUCK_BENCH_ROUNDS"] ?? 3);
const mountRounds = 30;
const transfersAtOnce = 100;
const transferBytes = 64 * 1024 * 1024;

interface Measurement {
  readonly name: string;
  readonly disks: readonly DiskName[];
  /** Its disk can't be made without. */
  readonly needsRoot?: boolean;
  readonly measure: (on: System) => Promise<void>;
}

const measurements: readonly Measurement[] = [
  { name: "mount", disks: ["big", "many", "small"], measure: mountLatency },
  { name: "listing-ext4", disks: ["many"], measure: async (on) => await listing(on, "many") },
  { name: "listing-xfs", disks: ["xfs"], needsRoot: true, measure: async (on) => await listing(on, "xfs") },
  { name: "listing-btrfs", disks: ["btrfs"], needsRoot: true, measure: async (on) => await listing(on, "btrfs") },
  { name: "download", disks: ["big"], measure: largeFile },
  { name: "compressed-zstd-btrfs", disks: ["btrfs"], needsRoot: true, measure: async (on) => await compressedFile(on, "zstd") },
  { name: "compressed-zlib-btrfs", disks: ["btrfs"], needsRoot: true, measure: async (on) => await compressedFile(on, "zlib") },
  { name: "archives-ext4", disks: ["small"], measure: async (on) => await archives(on, "small", ["tar", "zip"]) },
  { name: "archives-xfs", disks: ["xfs"], needsRoot: true, measure: async (on) => await archives(on, "xfs", ["tar"]) },
  { name: "archives-btrfs", disks: ["btrfs"], needsRoot: true, measure: async (on) => await archives(on, "btrfs", ["tar"]) },
  // After the archives: what they took of memory counts too.
  { name: "transfers", disks: ["big"], measure: manyTransfers },
];

/** `npm run bench -- listing btrfs`: only those whose name holds one of the words. */
const words = process.argv.slice(2);
const chosen = measurements.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
if (chosen.length === 0) throw new Error(`nothing is named so; there are ${measurements.map(({ name }) => name).join(", ")}`);
const runnable = chosen.filter(({ name, needsRoot }) => {
  if (needsRoot !== true || isRoot()) return true;
  process.stderr.write(`${name} is left out: it needs root\n`);
  return false;
});

const disks = new Set(runnable.flatMap((one) => one.disks));
const repository = await benchRepository(disks);
const fileOf = (name: DiskName): string => join(repository, diskOf(name));
const folder = await mkdtemp(join(tmpdir(), "pluck-bench-"));
const bars: Bar[] = [];
let system: System | undefined;
try {
  system = await startSystem(join(folder, "home"), { PLUCK_REPOSITORY: repository, PLUCK_LOG_LEVEL: "warn" });
  await register(system);
  for (const { name, measure } of runnable) {
    process.stderr.write(`${name} ...\n`);
    await measure(system);
  }
} finally {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
}
console.log(toTable(bars));

async function register(on: System): Promise<void> {
  const { body } = await on.api("GET", "/repositories");
  for (const name of disks) {
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
    const name = (["big", "many", "small"] as const)[round % 3] ?? "small";
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

async function listing(on: System, disk: DiskName): Promise<void> {
  const ours: number[] = [];
  const kernel: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(
      await withColdMount(on, disk, async (mount) => {
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
    const peer = await coldKernel(disk, async (mountPoint) => {
      const { stdout } = await execa("sh", ["-c", 'ls -l "$1" | wc -l', "sh", join(mountPoint, "many")]);
      if (Number(stdout) !== manyEntries + 1) throw new Error(`ls listed ${stdout} lines`);
    });
    if (peer !== undefined) kernel.push(peer);
  }
  compare(`folder of ${manyEntries} entries, ${typeOf(disk)}`, median(ours), kernel.length > 0 ? ["ls -l on a kernel mount", median(kernel)] : undefined, 2);
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
          await withKernelMount(socket, typeOf("big"), async (mountPoint) =>
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

/** The kernel inflates in as many threads as there are processors; Pluck's reader is one. */
async function compressedFile(on: System, algorithm: "zlib" | "zstd"): Promise<void> {
  const ours: number[] = [];
  const kernel: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await withColdMount(on, "btrfs", async (mount) => await curlMs(await link(on, mount, `download?path=%2Fdisk%2F${algorithm}.log`), compressedFileBytes)));
    const peer = await coldKernel("btrfs", async (mountPoint) => await execa("dd", [`if=${join(mountPoint, `${algorithm}.log`)}`, "of=/dev/null", "bs=1M", "status=none"]));
    if (peer !== undefined) kernel.push(peer);
  }
  const rate = (durations: readonly number[]): string => mbPerS(compressedFileBytes, median(durations));
  bars.push({
    what: `btrfs file in ${algorithm}, ${compressedFileBytes / 1024 / 1024} MiB`, pluck: rate(ours), peer: `dd on a kernel mount: ${rate(kernel)}`,
    ratio: times(median(kernel) / median(ours)), aim: "", isMet: true,
  });
}

async function archives(on: System, disk: DiskName, formats: readonly ("tar" | "zip")[]): Promise<void> {
  const kernel: number[] = [];
  const byFormat = { tar: [] as number[], zip: [] as number[] };
  const firstBytes: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const format of formats) {
      await withColdMount(on, disk, async (mount) => {
        const url = await link(on, mount, `download-directory?path=%2Fdisk%2Fsmall&format=${format}`);
        const { totalMs, firstByteMs, bytes } = await curl(url);
        if (bytes < smallFiles * smallFileBytes) throw new Error(`the ${format} has only ${bytes} bytes`);
        byFormat[format].push(totalMs);
        firstBytes.push(firstByteMs);
      });
    }
    const peer = await coldKernel(disk, async (mountPoint) => await execa("sh", ["-c", 'tar -C "$1" -cf - small | cat > /dev/null', "sh", mountPoint]));
    if (peer !== undefined) kernel.push(peer);
  }
  const type = typeOf(disk);
  for (const format of formats) {
    compare(`${smallFiles} files of ${smallFileBytes} bytes as ${format}, ${type}`, median(byFormat[format]), kernel.length > 0 ? ["tar on a kernel mount", median(kernel)] : undefined, 2);
  }
  bars.push({ what: `first byte of such an archive, ${type}`, pluck: ms(median(firstBytes)), peer: "", aim: "< 200 ms", isMet: median(firstBytes) < 200 });
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
    await withKernelMount(socket, typeOf(name), async (mountPoint) => {
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
