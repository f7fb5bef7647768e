import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forgetLogin, loginFile, parseUrl, readLogin, storeLogin } from "./settings.ts";

let folder: string;
let environment: Record<string, string>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-login-"));
  environment = { XDG_CONFIG_HOME: folder };
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const login = { url: "https://pluck.example.net", token: "secret-token" };

describe("the stored login", () => {
  it("is for its owner's eyes only, also where the folder was open", async () => {
    await mkdir(dirname(loginFile(environment)), { mode: 0o755 });
    const file = await storeLogin(login, environment);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(dirname(file))).mode & 0o777).toBe(0o700);
    expect(await readLogin(undefined, environment)).toEqual(login);
    await storeLogin({ ...login, token: "another" }, environment);
    expect((await readLogin(undefined, environment)).token).toBe("another");
  });

  it("sends its token nowhere but to its own address", async () => {
    await storeLogin(login, environment);
    await expect(readLogin("https://elsewhere.example.net", environment)).rejects.toMatchObject({ code: "unauthenticated" });
    await expect(readLogin(undefined, { ...environment, PLUCK_URL: "http://pluck.example.net" })).rejects.toMatchObject({ code: "unauthenticated" });
    expect(await readLogin("https://pluck.example.net/", environment)).toEqual(login);
  });

  it("gives way to the environment", async () => {
    await storeLogin(login, environment);
    expect(await readLogin(undefined, { ...environment, PLUCK_URL: "http://127.0.0.1:8082/", PLUCK_TOKEN: "t" })).toEqual({ url: "http://127.0.0.1:8082", token: "t" });
    expect(await readLogin(undefined, { ...environment, PLUCK_TOKEN: "t" })).toEqual({ ...login, token: "t" });
  });

  it("is forgotten by a logout", async () => {
    await storeLogin(login, environment);
    expect([await forgetLogin(environment), await forgetLogin(environment)]).toEqual([true, false]);
    await expect(readLogin(undefined, environment)).rejects.toMatchObject({ code: "unauthenticated", exitCode: 4 });
  });

  it("says so when it is damaged", async () => {
    await storeLogin(login, environment);
    await writeFile(loginFile(environment), (await readFile(loginFile(environment), "utf8")).slice(0, 10));
    await expect(readLogin(undefined, environment)).rejects.toMatchObject({ code: "unauthenticated" });
  });
});

describe("addresses", () => {
  it.each([
    ["https://pluck.example.net/", "https://pluck.example.net"],
    ["http://127.0.0.1:8082/api/v1", "http://127.0.0.1:8082"],
    ["https://example.net/pluck/", "https://example.net/pluck"],
  ])("%s is %s", (text, url) => {
    expect(parseUrl(text)).toBe(url);
  });

  it.each(["pluck.example.net", "file:///etc/passwd", "https://user:password@example.net", "https://example.net/?a=b", ""])("%j is none", (text) => {
    expect(() => parseUrl(text)).toThrow(expect.objectContaining({ code: "usage" }) as Error);
  });
});
