import { rm, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { temporaryFolder } from "../tools/environment.ts";

/** Debian's mosquitto on a free port of this machine, with nothing kept. */
export interface Mosquitto {
  readonly url: string;
  /** Killed with -9 and started again on its port. */
  restart(downMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startMosquitto(): Promise<Mosquitto> {
  const port = await freePort();
  const folder = await temporaryFolder();
  const file = join(folder, "mosquitto.conf");
  await writeFile(file, `listener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\nmax_packet_size 9437184\nlog_type error\nuser root\n`);
  const start = async () => {
    const subprocess = execa("/usr/sbin/mosquitto", ["-c", file], { reject: false, buffer: false, stdout: "ignore", stderr: "ignore" });
    for (let attempt = 0; !(await answers(port)); attempt += 1) {
      if (attempt > 200) throw new Error("mosquitto did not start");
      await sleep(25);
    }
    // In an object: a subprocess is a promise of its end, which awaiting it would wait for.
    return { subprocess };
  };
  let running = await start();
  const kill = async (): Promise<void> => {
    running.subprocess.kill("SIGKILL");
    await running.subprocess;
  };
  return {
    url: `mqtt://127.0.0.1:${port}`,
    restart: async (downMs = 100) => {
      await kill();
      await sleep(downMs);
      running = await start();
    },
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
