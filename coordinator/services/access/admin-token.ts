import { link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { nanoid } from "nanoid";
import { newSecret } from "./secret.ts";

export const adminTokenFile = "admin-token";

/**
 * The admin token of a configuration without one: made once, kept in {home}/admin-token, mode 0600.
 * Two processes that start at once end up with the same one.
 */
export async function readOrMakeAdminToken(home: string): Promise<string> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const path = join(home, adminTokenFile);
  const found = await readToken(path);
  if (found !== undefined) return found;
  // Written whole beside it, then linked: the name appears with its content, and only once.
  const unfinished = join(home, `.${adminTokenFile}-${nanoid()}`);
  const file = await open(unfinished, "wx", 0o600);
  try {
    await file.writeFile(`${newSecret("pluck_")}\n`);
    await file.sync();
    await file.close();
    await link(unfinished, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(unfinished, { force: true });
  }
  const made = await readToken(path);
  if (made === undefined) throw new Error(`${path} can't be read`);
  return made;
}

async function readToken(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  if (((await stat(path)).mode & 0o077) !== 0) throw new Error(`${path} can be read by others: set its mode to 0600, and make a new token if somebody may have seen it`);
  const token = text.trim();
  if (token.length < 16) throw new Error(`${path} holds no token of at least 16 characters; remove it to have one made`);
  return token;
}
