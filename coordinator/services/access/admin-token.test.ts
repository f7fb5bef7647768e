import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readOrMakeAdminToken } from "./admin-token.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "pluck-token-"));
});
afterEach(async () => {
  await rm(home, { recursive: true });
});

describe("the admin token", () => {
  it("is made once, long, and readable by its owner alone", async () => {
    const token = await readOrMakeAdminToken(home);
    expect(token).toMatch(/^pluck_[A-Za-z0-9_-]{43}$/);
    expect((await stat(join(home, "admin-token"))).mode & 0o777).toBe(0o600);
    expect(await readOrMakeAdminToken(home)).toBe(token);
  });

  it("is the same for all that start at once, and nothing else stays behind", async () => {
    const tokens = await Promise.all(Array.from({ length: 10 }, async () => await readOrMakeAdminToken(home)));
    expect(new Set(tokens).size).toBe(1);
    expect(await readdir(home)).toEqual(["admin-token"]);
  });

  it("is refused when others may have read it, or when there is hardly one", async () => {
    await writeFile(join(home, "admin-token"), "a-token-of-good-length\n", { mode: 0o600 });
    expect(await readOrMakeAdminToken(home)).toBe("a-token-of-good-length");
    await chmod(join(home, "admin-token"), 0o644);
    await expect(readOrMakeAdminToken(home)).rejects.toThrow(/can be read by others/);
    await chmod(join(home, "admin-token"), 0o600);
    await writeFile(join(home, "admin-token"), "");
    await expect(readOrMakeAdminToken(home)).rejects.toThrow(/holds no token/);
  });
});
