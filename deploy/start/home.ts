import { chmod, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";

/** A mistake of whoever started us: shown as one line, without a stack. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** The state folder, held by this process alone. */
export interface Home {
  readonly path: string;
  readonly release: () => void;
}

/**
 * Makes the state folder private and takes it for this process. The lock is a listening socket in
 * Linux's abstract namespace, named by the folder itself: the kernel drops it with the process,
 * however that ends, so nothing stale is ever left.
 * @throws StartError when another process holds it
 */
export async function takeHome(path: string): Promise<Home> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  const { dev, ino } = await stat(path);
  const lock = await listen(`\0pluck-home-${dev}-${ino}`);
  if (lock === undefined) throw new StartError(`another pluck is running on ${path}; stop it, or choose another state folder by PLUCK_HOME`);
  return { path, release: () => lock.close() };
}

async function listen(path: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  return await new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen({ path }, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** A file of this user alone; it appears whole or not at all. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const unfinished = `${path}.unfinished`;
  await writeFile(unfinished, text, { mode: 0o600 });
  await rename(unfinished, path);
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The port that is asked for where it is free, else 0: any. */
export async function freePortOr0(port: number, host: string): Promise<number> {
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, host, () => resolve(true));
  });
  await new Promise<void>((resolve) => (isFree ? server.close(() => resolve()) : resolve()));
  return isFree ? port : 0;
}

/** @throws StartError unless it is a folder that this user may read */
export async function assertFolder(path: string, variable: string): Promise<void> {
  const found = await stat(join(path, ".")).catch((error: NodeJS.ErrnoException) => error.code ?? "unreadable");
  if (typeof found === "string" || !found.isDirectory()) {
    throw new StartError(`${variable}=${path} is not a folder that this user can read${typeof found === "string" ? ` (${found})` : ""}`);
  }
}
