import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

/** The named peers: qemu-nbd alone, and the kernel over an equal export by nbdfuse and a loop device. */

/** An export equal to the agent's: read-only, on a unix socket, for as long as `use` runs. */
export async function withExport<T>(qcow2File: string, use: (socket: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "pluck-bench-export-"));
  const socket = join(folder, "nbd.sock");
  const server = execa("setpriv", ["--pdeathsig", "TERM", "qemu-nbd", "--read-only", "--persistent", "--shared=16", "--cache=writeback", "--aio=threads", "--format=qcow2", `--socket=${socket}`, qcow2File], { reject: false });
  try {
    await waitFor(`qemu-nbd of ${qcow2File}`, async () => (await execa("nbdinfo", ["--size", `nbd+unix:///?socket=${socket}`], { reject: false })).exitCode === 0);
    return await use(socket);
  } finally {
    server.kill("SIGTERM");
    await server;
    await rm(folder, { recursive: true, force: true });
  }
}

/** Milliseconds from the start of a bare qemu-nbd to its greeting on the socket: what no mount over it can go below. */
export async function exportStartMs(qcow2File: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "pluck-bench-start-"));
  const socket = join(folder, "nbd.sock");
  const begun = performance.now();
  const server = execa("setpriv", ["--pdeathsig", "TERM", "qemu-nbd", "--read-only", "--format=qcow2", `--socket=${socket}`, qcow2File], { reject: false });
  try {
    for (const end = Date.now() + 10_000; !(await greets(socket)); await sleep(2)) {
      if (Date.now() > end) throw new Error("qemu-nbd did not greet within 10 s");
    }
    return performance.now() - begun;
  } finally {
    server.kill("SIGTERM");
    await server;
    await rm(folder, { recursive: true, force: true });
  }
}

async function greets(socket: string): Promise<boolean> {
  const connection = connect(socket);
  try {
    return await new Promise((resolve) => {
      connection.once("error", () => resolve(false));
      connection.once("data", (bytes) => resolve(bytes.subarray(0, 8).toString("latin1") === "NBDMAGIC"));
    });
  } finally {
    connection.destroy();
  }
}

/** Everything of the export to nowhere. */
export async function nbdcopyToNull(socket: string): Promise<void> {
  await execa("nbdcopy", [`nbd+unix:///?socket=${socket}`, "null:"]);
}

/** A filesystem that was unmounted cleanly, without its journal: nothing to replay, as on Pluck's side. */
const mountOptions = { ext4: "ro,noload", xfs: "ro,norecovery", btrfs: "ro" } as const;

/** The filesystem of the export mounted read-only by the kernel; needs root and /dev/fuse. */
export async function withKernelMount<T>(socket: string, type: keyof typeof mountOptions, use: (mountPoint: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "pluck-bench-mount-"));
  const [fuse, mountPoint] = [join(folder, "fuse"), join(folder, "mount")];
  await mkdir(fuse);
  await mkdir(mountPoint);
  const nbdfuse = execa("setpriv", ["--pdeathsig", "TERM", "nbdfuse", "-r", `${fuse}/disk`, `nbd+unix:///?socket=${socket}`], { reject: false });
  let loop: string | undefined;
  try {
    await waitFor("nbdfuse", async () => (await execa("stat", [`${fuse}/disk`], { reject: false })).exitCode === 0);
    loop = (await execa("losetup", ["--find", "--show", "--read-only", `${fuse}/disk`])).stdout.trim();
    await execa("mount", ["-t", type, "-o", mountOptions[type], loop, mountPoint]);
    return await use(mountPoint);
  } finally {
    await execa("umount", [mountPoint], { reject: false });
    if (loop !== undefined) await execa("losetup", ["-d", loop], { reject: false });
    await execa("umount", [`${fuse}/disk`], { reject: false });
    nbdfuse.kill("SIGTERM");
    await nbdfuse;
    await rm(folder, { recursive: true, force: true });
  }
}

/** nginx over a folder, with sendfile; gives its URL. */
export async function withNginx<T>(root: string, use: (url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "pluck-bench-nginx-"));
  const port = await freePort();
  const configuration = join(folder, "nginx.conf");
  await writeFile(
    configuration,
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; user root; worker_processes 1;
events { worker_connections 256; }
http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server { listen 127.0.0.1:${port}; root ${root}; } }
`,
  );
  const nginx = execa("setpriv", ["--pdeathsig", "TERM", "nginx", "-c", configuration, "-e", `${folder}/error.log`], { reject: false });
  try {
    const url = `http://127.0.0.1:${port}`;
    await waitFor("nginx", async () => (await fetch(url).then((response) => response.status, () => 0)) !== 0);
    return await use(url);
  } finally {
    nginx.kill("SIGTERM");
    await nginx;
    await rm(folder, { recursive: true, force: true });
  }
}

async function waitFor(what: string, isThere: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await isThere()); await sleep(20)) {
    if (Date.now() > end) throw new Error(`${what} did not come up within 10 s`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
