import { chmod, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Failure } from "../output/failure.ts";

/** Where to ask, and with which token. */
export interface Login {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `$XDG_CONFIG_HOME/pluck/login.json`, by default below ~/.config. */
export function loginFile(environment: Environment = process.env): string {
  const base = environment["XDG_CONFIG_HOME"];
  // The specification has relative paths ignored.
  return join(base?.startsWith("/") === true ? base : join(homedir(), ".config"), "pluck", "login.json");
}

/**
 * Address and token: `--url`, then PLUCK_URL and PLUCK_TOKEN, then what `pluck login` stored. The stored
 * token goes to the stored address only.
 * @throws Failure unauthenticated when there is none
 */
export async function readLogin(url: string | undefined, environment: Environment = process.env): Promise<Login> {
  const stored = await readStored(environment);
  const wanted = url ?? nonEmpty(environment["PLUCK_URL"]);
  const address = wanted === undefined ? stored?.url : parseUrl(wanted);
  if (address === undefined) throw new Failure("unauthenticated", "Nobody is signed in, and PLUCK_URL is not set.");
  const token = nonEmpty(environment["PLUCK_TOKEN"]) ?? (stored?.url === address ? stored.token : undefined);
  if (token === undefined) throw new Failure("unauthenticated", `There is no token for ${address}.`, `\`pluck login ${address}\` signs in; or set PLUCK_TOKEN.`);
  return { url: address, token };
}

/** Mode 0600, in a folder of mode 0700; the file is whole or the old one. */
export async function storeLogin(login: Login, environment: Environment = process.env): Promise<string> {
  const file = loginFile(environment);
  const folder = dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const draft = `${file}.${process.pid}.new`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(login)}\n`);
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  return file;
}

/** @returns whether there was one */
export async function forgetLogin(environment: Environment = process.env): Promise<boolean> {
  const stored = await readStored(environment);
  await rm(loginFile(environment), { force: true });
  return stored !== undefined;
}

/** "https://pluck.example.net/" → without the slash; a path before /api/v1 is kept. */
export function parseUrl(text: string): string {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || !["http:", "https:"].includes(parsed.protocol) || parsed.username !== "" || parsed.search !== "" || parsed.hash !== "") {
    throw new Failure("usage", `"${text}" is no address of a Pluck.`, "Give one such as https://pluck.example.net.");
  }
  return `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, "").replace(/\/api\/v1$/, "");
}

async function readStored(environment: Environment): Promise<Login | undefined> {
  const file = loginFile(environment);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { url, token } = JSON.parse(text) as Partial<Login>;
    if (typeof url === "string" && typeof token === "string") return { url, token };
  } catch {
    // Said below.
  }
  throw new Failure("unauthenticated", `${file} is damaged.`, "`pluck login URL` writes it anew.");
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? undefined : value.trim();
}
