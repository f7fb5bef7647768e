import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { Browser, Download, Locator } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { descendantsWith, eventually, type System } from "../system/system.ts";
import { requireTools } from "../tools/environment.ts";
import { findAccessibilityFaults, goTo, launchBrowser, openTab, patient, sidewaysOverflow, signIn, startSystemWithPage, type Tab } from "./browser.ts";
import { bigBytes, hostileNames, latin1Text, makeFilesRepository, manyEntries, nameOfMany, type FilesRepository, utf16Text } from "./files-repository.ts";

// Property: in a real browser, over the real system, a disk is looked through, and what is taken out of
// it is byte for byte what went in; whatever a guest calls its files is shown and does nothing. Speeds are
// printed; the bars in the tests only tell a page that hangs, since other work may have the machine.

let folder: string;
let repository: FilesRepository;
let system: System;
let browser: Browser;
let tab: Tab;
let full: string;
let incremental: string;
let shelf: string;

beforeAll(async () => {
  requireTools("mksquashfs", "bsdtar", "debugfs");
  folder = await mkdtemp("/dev/shm/pluck-files-");
  repository = await makeFilesRepository(folder);
  [system, browser] = await Promise.all([startSystemWithPage(join(folder, "home"), { PLUCK_REPOSITORY: repository.path }), launchBrowser()]);
  const { backups } = (await system.api("GET", "/backups")).body as { backups: { backup_id: string; vm_name: string; backup_type: string }[] };
  const idOf = (vm: string, type: string): string => backups.find(({ vm_name, backup_type }) => vm_name === vm && backup_type === type)?.backup_id ?? "";
  full = idOf("pgtest1", "full");
  incremental = idOf("pgtest1", "incremental");
  shelf = idOf("shelf", "full");
  tab = await openTab(browser);
});

afterEach(async () => {
  tab.assertNoProblems();
  // Nothing that a guest holds ever ran.
  await expect.poll(() => tab.page.evaluate(() => "harmed" in window), patient).toBe(false);
});

afterAll(async () => {
  await browser?.close();
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

const list = (): Locator => tab.page.getByRole("grid", { name: "Files" });
const row = (name: string): Locator => list().getByRole("row").filter({ has: tab.page.locator(".entry-name", { hasText: new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`) }) });
const details = (): Locator => tab.page.getByRole("region", { name: "Details" });
const button = (name: string): Locator => tab.page.getByRole("button", { name, exact: true });
const press = async (...keys: string[]): Promise<void> => { for (const key of keys) await tab.page.keyboard.press(key); };
const at = (backupId: string, disk: number, path: string): string => `/files/${backupId}/${disk}${path}`;

/** Waits until this entry has the keyboard. */
async function focused(name: string): Promise<void> {
  await eventually(`${name} has the keyboard`, async () => {
    const id = await list().getAttribute("aria-activedescendant");
    return id !== null && (await tab.page.locator(`#${id} .entry-name`).textContent()) === name;
  }, 45_000);
}

/** Opens a folder's address and waits for all of it. */
async function openFolder(backupId: string, disk: number, path: string, count: number): Promise<void> {
  await goTo(tab, at(backupId, disk, path));
  await tab.page.getByRole("navigation", { name: "Path" }).getByText(path.slice(path.lastIndexOf("/") + 1), { exact: true }).waitFor();
  await tab.page.getByText(`${count.toLocaleString("en")} ${count === 1 ? "entry" : "entries"}`, { exact: true }).waitFor();
}

async function shownNames(): Promise<string[]> {
  return await list().locator(".entry-name").allTextContents();
}

async function firstNames(...names: string[]): Promise<void> {
  await expect.poll(async () => (await shownNames()).slice(0, names.length), patient).toEqual(names);
}

/** What a button's click makes the browser save. */
async function saved(click: () => Promise<void>): Promise<{ download: Download; path: string }> {
  const [download] = await Promise.all([tab.page.waitForEvent("download"), click()]);
  expect(await download.failure()).toBeNull();
  return { download, path: await download.path() };
}

/** As somebody else would, on the view of open disks. The page's next call meets an agent that no longer knows the mount, and so may not tell it. */
async function closeAllDisks(): Promise<void> {
  tab.expectProblems(/blocked by CORS policy|net::ERR_FAILED/);
  for (const { mount_id: mountId } of (await system.api("GET", "/restore/mounts")).body.mounts as { mount_id: string }[]) await system.api("DELETE", `/restore/${mountId}`);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function unpack(archive: string): Promise<string> {
  const into = await mkdtemp(join(folder, "unpacked-"));
  await execa("bsdtar", ["-xf", archive, "-C", into]);
  return into;
}

/** Path below the folder, and hash, of each file. */
async function hashesBelow(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) found[join(entry.parentPath, entry.name).slice(root.length + 1)] = sha256(await readFile(join(entry.parentPath, entry.name)));
  }
  return found;
}

describe("opening a disk", () => {
  it("takes an address that somebody pasted, and gives its folder", async () => {
    await signIn(tab, system, at(full, 0, "/p2/etc"));
    await row("hosts").waitFor();
    await expect.poll(() => tab.page.getByRole("heading", { level: 1 }).textContent(), patient).toBe("pgtest1");
    await tab.page.getByText("6 entries", { exact: true }).waitFor();
  });

  it("shows the volumes at the top, and other disks by a choice", async () => {
    await goTo(tab, at(full, 0, ""));
    await tab.page.getByRole("heading", { name: "Volumes of disk 0" }).waitFor();
    await tab.page.getByRole("link", { name: /p2/ }).first().waitFor();
    await tab.page.getByLabel("Disk", { exact: true }).selectOption({ label: "Disk 1" });
    await tab.page.getByRole("heading", { name: "Volumes of disk 1" }).waitFor();
  });

  it("is quick: from a click to the first listing", async () => {
    const tookMs: number[] = [];
    const fresh = await openTab(browser);
    await signIn(fresh, system);
    for (let round = 0; round < 5; round += 1) {
      await closeAllDisks();
      // A page loaded anew knows nothing of the disk.
      await fresh.page.goto(`${system.url}/?${round}#/`);
      await fresh.page.getByRole("navigation", { name: "Main" }).waitFor();
      // A person takes longer to find the button; the agent has its next reader ready by then.
      await new Promise((resolve) => setTimeout(resolve, 500));
      tookMs.push(await fresh.page.evaluate(async (hash) => {
        const begun = performance.now();
        location.hash = hash;
        for (;;) {
          await new Promise((resolve) => requestAnimationFrame(resolve));
          if (document.querySelector(".file-list .entry-row") !== null) return performance.now() - begun;
        }
      }, at(full, 0, "/p2/etc")));
    }
    await fresh.close();
    const median = tookMs.toSorted((a, b) => a - b)[2] ?? 0;
    report(`opening a disk to its first listing: p50 ${median.toFixed(0)} ms`);
    expect(median).toBeLessThan(30_000);
  });

  it("has its first page ready soon", async () => {
    const fresh = await openTab(browser);
    await fresh.page.goto(system.url);
    await fresh.page.getByLabel("API token").waitFor();
    const interactiveMs = await fresh.page.evaluate(() => (performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming).domInteractive);
    report(`first page interactive: ${interactiveMs.toFixed(0)} ms`);
    expect(interactiveMs).toBeLessThan(30_000);
    await fresh.close();
  });
});

describe("the keyboard", () => {
  it("goes into folders and out again, and finds its place", async () => {
    await openFolder(full, 0, "/p2", 6);
    await list().focus();
    await press("Home", "ArrowDown");
    await focused("home");
    await press("Enter");
    await focused("anna");
    await press("Enter");
    await focused("documents");
    await press("Backspace", "Backspace");
    await focused("home");
    await press("End");
    await focused("config");
  });

  it("follows a link to a folder inside the guest's tree, and shows the file that another leads to", async () => {
    await openFolder(full, 0, "/p2/home/anna", 2);
    await list().focus();
    await press("End");
    await focused("etc.link");
    await press("Enter");
    await row("hosts").waitFor();
    await tab.page.getByText("Through the link /p2/home/anna/etc.link").waitFor();
    await press("Home");
    await focused("absolute.link");
    await press("Enter");
    await tab.page.getByRole("dialog").getByText("pgtest1").waitFor();
    await press("Escape");
    await tab.page.getByRole("dialog").waitFor({ state: "detached" });
  });

  it("filters with /, and comes back with Escape", async () => {
    await openFolder(full, 0, "/p2/srv/many", 1500);
    await list().focus();
    await press("/");
    await tab.page.keyboard.type("*-0012?");
    await tab.page.getByText("10 of 1,500 entries").waitFor();
    expect(await shownNames()).toEqual(Array.from({ length: 10 }, (_, index) => `file-0012${index}`));
    await press("Enter");
    await focused("file-00120");
    await press("Escape");
    await tab.page.getByText("1,500 entries", { exact: true }).waitFor();
  });

  it("chooses: one, a range, all, none", async () => {
    await openFolder(full, 0, "/p2/srv/many", 1500);
    await list().focus();
    await press("Home", " ");
    await tab.page.getByText("1 chosen").waitFor();
    await press("ArrowDown", "Shift+ArrowDown", "Shift+ArrowDown");
    await tab.page.getByText("3 chosen").waitFor();
    await press("Shift+End");
    await tab.page.getByText("1,499 chosen").waitFor();
    await press("Control+a");
    await tab.page.getByText("1,500 chosen").waitFor();
    await press("Escape");
    await tab.page.getByText("1,500 chosen").waitFor({ state: "detached" });
  });

  it("jumps to what is typed", async () => {
    await openFolder(full, 0, "/p2/srv/many", 1500);
    await list().focus();
    await tab.page.keyboard.type("file-01234");
    await focused("file-01234");
    await press("PageUp", "PageDown");
    await focused("file-01234");
  });

  it("types a path, completed on the way", async () => {
    await list().focus();
    await press("Control+l");
    const field = tab.page.getByRole("combobox", { name: "Path" });
    await field.fill("/p2/ho");
    await tab.page.getByRole("option", { name: "/p2/home/" }).waitFor();
    await press("Tab");
    await tab.page.getByRole("option", { name: "/p2/home/anna/" }).waitFor();
    await press("ArrowDown");
    await tab.page.getByRole("option", { name: "/p2/home/anna/", selected: true }).waitFor();
    await press("Enter");
    await row("documents").waitFor();
    await expect.poll(() => tab.page.getByRole("navigation", { name: "Path" }).getByRole("link").allTextContents(), patient).toEqual(["Disk 0", "p2", "home", "anna"]);
    await expect.poll(() => list().evaluate((element) => document.activeElement === element), patient).toBe(true);
  });

  it("shows a file that was typed in its folder", async () => {
    await press("Control+l");
    await tab.page.getByRole("combobox", { name: "Path" }).fill("/p2/etc/hosts");
    await press("Enter");
    await focused("hosts");
    await details().getByText("/p2/etc/hosts").waitFor();
  });
});

describe("the list", () => {
  it("sorts by name, size, time and type, folders first", async () => {
    await openFolder(shelf, 0, "/disk/shown", 10);
    const size = (name: string): Locator => list().getByRole("columnheader").getByRole("button", { name });
    await size("Size").click();
    await firstNames("empty");
    await size("Size").click();
    await firstNames("long.txt");
    await size("Type").click();
    await firstNames("empty", "bytes.bin");
    await size("Name").click();
    await firstNames("bytes.bin", "drawing.svg");
    await expect.poll(() => list().getByRole("columnheader").first().getAttribute("aria-sort"), patient).toBe("ascending");
  });

  it("shows hostile names whole, visibly, and as nothing but text", async () => {
    await openFolder(shelf, 0, "/disk/hostile", hostileNames.length + 1);
    const shown = await shownNames();
    for (const name of hostileNames.filter((one) => /^[\x21-\x7e][\x20-\x7e]*[\x21-\x7e]$/.test(one))) expect(shown).toContain(name);
    expect(shown).toEqual(expect.arrayContaining(["new\\nline\\r\\ttab", "bell\\x07escape\\x1b[31m", "txt.\\u{202e}exe", "zero\\u{200b}width\\u{2066}isolate", "\\x20leading and trailing\\x20", "gr\\xfc\\xdf"]));
    await expect.poll(() => list().locator(".entry-name *:not(bdi, .escape)").count(), patient).toBe(0);
    for (const name of shown) {
      await row(name).click();
      await details().getByRole("heading", { name, exact: true }).waitFor();
    }
  });

  it("takes out the file that has the hostile name, and the name does no harm on the way", async () => {
    for (const name of ["<img src=x onerror=\"window.harmed=1\">", "txt.\\u{202e}exe", "gr\\xfc\\xdf"]) {
      await row(name).click();
      const { path } = await saved(async () => await button("Download").click());
      const source = name.startsWith("gr") ? "not UTF-8\n" : name.startsWith("txt") ? "txt.\u202eexe\n" : `${name}\n`;
      expect(await readFile(path, "utf8")).toBe(source);
    }
  });
});

describe("an entry", () => {
  it("is shown in all detail, with its hash on request", async () => {
    await openFolder(full, 0, "/p2/etc", 6);
    await row("hostname").click();
    await details().getByText("rw-r--r--").waitFor();
    await details().getByText("(8 bytes)").waitFor();
    await details().locator("div").filter({ hasText: /^Hard links2$/ }).waitFor();
    await button("Work it out").click();
    await details().getByText(sha256(Buffer.from("pgtest1\n"))).waitFor();
  });

  it("says where a link leads", async () => {
    await row("escape.link").click();
    await details().getByText("../../../../../../etc/shadow").waitFor();
  });
});

describe("an entry that can't be read", () => {
  it("is there, marked with why, and takes nothing from its neighbours", async () => {
    await openFolder(shelf, 0, "/disk/damaged", 2);
    await row("broken.txt").getByText("can't be read: corrupt").waitFor();
    await row("broken.txt").click();
    await details().getByText("corrupt", { exact: true }).waitFor();
    await row("whole.txt").click();
    const { path } = await saved(async () => await button("Download").click());
    expect(await readFile(path, "utf8")).toBe("whole\n");
  });
});

describe("a preview", () => {
  const preview = (): Locator => tab.page.getByRole("dialog");

  async function show(name: string): Promise<void> {
    await row(name).dblclick();
    await preview().waitFor();
  }
  async function close(): Promise<void> {
    await press("Escape");
    await preview().waitFor({ state: "detached" });
  }

  it.each([
    ["utf16.ini", "name=Größe", "UTF-16 LE (guessed)"],
    ["latin1.txt", "Grüße", "Latin-1 (Windows-1252) (guessed)"],
    ["page.html", "<!doctype html><script>window.harmed=1</script>", "UTF-8 (guessed)"],
  ])("of %s is text, its encoding guessed", async (name, text, encoding) => {
    await openFolder(shelf, 0, "/disk/shown", 10);
    await show(name);
    await preview().locator("pre").getByText(text).waitFor();
    await expect.poll(() => preview().getByLabel("Encoding").locator("option:checked").textContent(), patient).toBe(encoding);
    await close();
    expect([utf16Text.length, latin1Text.length]).not.toContain(0);
  });

  it.each([["picture.png", 64], ["lies.txt", 8], ["drawing.svg", 20]])("of %s is a picture, by what is in it", async (name, width) => {
    await show(name);
    await eventually("the picture is drawn", async () => (await preview().locator("img").evaluate((image: HTMLImageElement) => image.naturalWidth)) === width);
    await close();
  });

  it("of a PDF is the browser's, or its bytes", async () => {
    await show("paper.pdf");
    await preview().locator("iframe, pre").first().waitFor();
    await close();
  });

  it("of anything else is hex, more of it on request", async () => {
    await show("bytes.bin");
    const bytes = await readFile(join(repository.shelf, "shown/bytes.bin"));
    const { stdout } = await execa("od", ["-A", "x", "-t", "x1", "-N", "16", join(repository.shelf, "shown/bytes.bin")]);
    await preview().locator("pre").getByText((stdout.split("\n")[0] ?? "").split(" ").slice(1, 9).join(" ")).waitFor();
    await preview().getByText(`16.0 KiB of 68.4 KiB`).waitFor();
    await button("Show more").click();
    await preview().getByText(`32.0 KiB of 68.4 KiB`).waitFor();
    expect(bytes.length).toBe(70_000);
    await close();
  });

  it("of a long text comes part by part", async () => {
    await show("long.txt");
    await preview().getByText("256 KiB of 586 KiB").waitFor();
    await button("Show more").click();
    await button("Show more").click();
    await preview().getByText("586 KiB of 586 KiB").waitFor();
    await close();
  });
});

describe("taking out", () => {
  it("one file is that file", async () => {
    await openFolder(full, 0, "/p2/home/anna/documents", 3);
    await row("big.bin").click();
    const { download, path } = await saved(async () => await button("Download").click());
    expect(download.suggestedFilename()).toBe("big.bin");
    expect(sha256(await readFile(path))).toBe(sha256(await readFile(join(repository.full.root, "home/anna/documents/big.bin"))));
  });

  it("several of one folder are one archive", async () => {
    await openFolder(full, 0, "/p2/srv/odd", 12);
    await list().focus();
    await press("Control+a");
    await tab.page.getByLabel("Format").first().selectOption("tar.gz");
    const { download, path } = await saved(async () => await button("Download").click());
    expect(download.suggestedFilename()).toMatch(/\.tar\.gz$/);
    const { stdout } = await execa("bsdtar", ["-tf", path], { encoding: "buffer" });
    expect(Buffer.from(stdout).toString("latin1").trim().split("\n").filter((line) => !line.endsWith("/"))).toHaveLength(12);
    await press("Escape");
  });

  it("a basket gathers across folders, disks and restore points, and comes as one archive of the very same files", async () => {
    await openFolder(full, 0, "/p2/etc", 6);
    await row("hosts").click();
    await button("Add to basket").click();
    await openFolder(full, 0, "/p2/home", 1);
    await row("anna").click();
    await button("Add to basket").click();
    await openFolder(full, 1, "/disk", 3);
    await row("base").click();
    await button("Add to basket").click();
    await openFolder(incremental, 1, "/disk", 3);
    await row("PG_VERSION").click();
    await button("Add to basket").click();
    const basket = tab.page.getByRole("region", { name: "Basket" });
    await basket.getByText("Basket: 4 items").waitFor();
    // It outlives the page, and the disks.
    await closeAllDisks();
    await tab.page.reload();
    await basket.getByText("Basket: 4 items").waitFor();
    await basket.getByText("2 folders").waitFor();
    const { path } = await saved(async () => await basket.getByRole("button", { name: "Download all" }).click());
    await expect.poll(() => tab.page.getByRole("alert").count(), patient).toBe(0);
    const found = await hashesBelow(await unpack(path));
    const expected: Record<string, string> = {};
    const add = async (prefix: string, root: string, below: string): Promise<void> => {
      for (const [name, hash] of Object.entries(await hashesBelow(join(root, below)))) expected[join(prefix, below, name)] = hash;
    };
    await add(`${full}-disk-0/p2`, repository.full.root, "home/anna");
    await add(`${full}-disk-1/disk`, repository.full.data, "base");
    expected[`${full}-disk-0/p2/etc/hosts`] = sha256(await readFile(join(repository.full.root, "etc/hosts")));
    expected[`${incremental}-disk-1/disk/PG_VERSION`] = sha256(await readFile(join(repository.incremental.data, "PG_VERSION")));
    expect(found).toEqual(expected);
    await basket.getByRole("button", { name: "Show" }).click();
    await basket.getByRole("button", { name: "Take hosts out of the basket" }).click();
    await basket.getByText("Basket: 3 items").waitFor();
    await basket.getByRole("button", { name: "Empty the basket" }).click();
    await basket.waitFor({ state: "detached" });
  });

  it("an archive that the agent refuses is told, and the page stays", async () => {
    await openFolder(full, 0, "/p2", 6);
    await row("etc").click();
    await tab.page.route(/\/v1\/archive\?/, async (route) => await route.fulfill({ status: 403, contentType: "application/problem+json", body: "{}" }));
    await button("Download").click();
    await tab.page.getByRole("alert").getByText("refused to send this").waitFor();
    await tab.page.unroute(/\/v1\/archive\?/);
    await row("srv").waitFor();
  });

  it("a link to hand on gives the file to whoever has it", async () => {
    await openFolder(full, 0, "/p2/etc", 6);
    await row("hosts").click();
    await button("Copy a link …").click();
    const dialog = tab.page.getByRole("dialog");
    await dialog.getByLabel("Good for").selectOption({ label: "1 day" });
    await dialog.getByRole("button", { name: "Make the link" }).click();
    const url = await dialog.getByLabel("Link", { exact: true }).inputValue();
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([200, "127.0.0.1 localhost\n"]);
    const line = await dialog.getByLabel("curl line").inputValue();
    expect(line).toBe(`curl -fL -C - -o hosts '${url}'`);
    await press("Escape");
    await dialog.waitFor({ state: "detached" });
  });

  it("a curl line for many does what it says", async () => {
    await openFolder(shelf, 0, "/disk/hostile", hostileNames.length + 1);
    await list().focus();
    await press("Control+a");
    await tab.page.getByLabel("Format").first().selectOption("tar");
    await button("Copy curl line").click();
    const line = await tab.page.getByRole("dialog").getByLabel("curl line").inputValue();
    await press("Escape", "Escape");
    // The one tool that a fresh machine may lack; the words of the line are tested beside it.
    const hasCurl = await execa("curl", ["--version"], { reject: false });
    if (hasCurl.failed) return;
    const into = join(folder, "by-curl");
    await mkdir(into);
    await execa("sh", ["-c", line], { cwd: into });
    const [archive] = await readdir(into);
    const unpacked = await unpack(join(into, archive ?? ""));
    const names = (await readdir(unpacked, { encoding: "buffer" })).map((name) => name.toString("latin1"));
    for (const name of hostileNames) expect(names).toContain(Buffer.from(name).toString("latin1"));
  });

  it("a big file is written with progress, paused, and goes on where it was", async () => {
    const fresh = await openTab(browser);
    await fresh.context.addInitScript(() => {
      // What the browser's own dialog would give: here a file in memory.
      const written = { chunks: [] as Uint8Array[], bytes: 0, closed: false, isHeld: true, release: (): void => undefined };
      Object.assign(window, {
        written,
        showSaveFilePicker: async () => await Promise.resolve({
          createWritable: async () => await Promise.resolve({
            async write(chunk: Uint8Array) {
              written.chunks.push(chunk.slice());
              written.bytes += chunk.length;
              // Held in the middle until the test has asked for the pause.
              if (written.bytes > 20_000_000 && written.isHeld) await new Promise<void>((resolve) => { written.release = () => { written.isHeld = false; resolve(); }; });
            },
            async close() { written.closed = true; await Promise.resolve(); },
            async abort() { await Promise.resolve(); },
          }),
        }),
      });
    });
    const asked: string[] = [];
    fresh.page.on("request", (request) => { if (request.url().includes("/download?") && request.method() === "GET") asked.push(request.headers()["range"] ?? "whole"); });
    await signIn(fresh, system, at(shelf, 0, "/disk/big.bin"));
    await fresh.page.getByRole("region", { name: "Details" }).getByRole("heading", { name: "big.bin" }).waitFor();
    await fresh.page.getByRole("button", { name: "Download", exact: true }).click();
    const tray = fresh.page.getByRole("region", { name: "Downloads" });
    await fresh.page.waitForFunction(() => (window as unknown as { written: { bytes: number } }).written.bytes > 20_000_000);
    await tray.getByRole("button", { name: "Pause" }).click();
    await fresh.page.evaluate(() => (window as unknown as { written: { release(): void } }).written.release());
    await tray.getByText("paused").waitFor();
    const pausedAt = await fresh.page.evaluate(() => (window as unknown as { written: { bytes: number } }).written.bytes);
    expect(pausedAt).toBeLessThan(bigBytes);
    await tray.getByRole("button", { name: "Resume" }).click();
    await tray.getByText("saved").waitFor();
    const written = await fresh.page.evaluate(async () => {
      const { chunks, closed } = (window as unknown as { written: { chunks: Uint8Array<ArrayBuffer>[]; closed: boolean } }).written;
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(chunks).arrayBuffer()));
      return { closed, hash: Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") };
    });
    expect(written).toEqual({ closed: true, hash: sha256(await readFile(join(repository.shelf, "big.bin"))) });
    expect(asked).toEqual(["whole", `bytes=${pausedAt}-`]);
    fresh.assertNoProblems();
    await fresh.close();
  });
});

describe("moving through time", () => {
  const summary = (): Locator => tab.page.locator(".comparison");
  const tags = async (): Promise<Record<string, string>> => Object.fromEntries(await list().locator(".entry-row:has(.change-tag)").evaluateAll((rows) => rows.map((one) => [one.querySelector(".entry-name")?.textContent ?? "", one.querySelector(".change-tag")?.textContent ?? ""])));

  it("stays in the folder, and tells what was added and what is gone", async () => {
    await openFolder(full, 0, "/p2/home/anna/documents", 3);
    await row("deleted-later.txt").waitFor();
    await button("Newer restore point").click();
    await row("added-later.txt").waitFor();
    await tab.page.getByLabel("Compare with the point before").check();
    await summary().getByText("1 gone").waitFor();
    await expect.poll(() => tags(), patient).toMatchObject({ "added-later.txt": "added", "deleted-later.txt": "gone" });
    expect(await row("empty").locator(".change-tag").count()).toBe(await row("empty").locator(".change-changed").count());
  });

  it("takes out what is gone, from the point before", async () => {
    await row("deleted-later.txt").click();
    const { path } = await saved(async () => await button("Download").click());
    expect(await readFile(path, "utf8")).toBe("only in the full backup\n");
  });

  it("tells what was changed", async () => {
    await openFolder(incremental, 0, "/p2/etc", 6);
    await summary().getByText(/0 added/).waitFor();
    await expect.poll(() => tags(), patient).toMatchObject({ hosts: "changed" });
    await tab.page.getByLabel("Compare with the point before").uncheck();
    await summary().waitFor({ state: "detached" });
    await expect.poll(() => tags(), patient).toEqual({});
  });

  it("says when the folder wasn't there, shows the nearest one that was, and leads back", async () => {
    await openFolder(incremental, 0, "/p2/home/anna/documents", 3);
    await goTo(tab, at(incremental, 0, "/p2/home/anna/documents/added-later.txt"));
    await focused("added-later.txt");
    await button("Older restore point").click();
    await tab.page.getByText("doesn't exist in this restore point").waitFor();
    await row("deleted-later.txt").waitFor();
    await button("Back to where it was").click();
    await row("added-later.txt").waitFor();
  });
});

describe("a folder of 100,000 entries", () => {
  it("shows its first entries at once and scrolls without a stutter", async () => {
    await goTo(tab, at(shelf, 1, "/disk/many"));
    await row(nameOfMany(0)).waitFor();
    await tab.page.getByText("100,000 entries", { exact: true }).waitFor();
    await expect.poll(() => list().getAttribute("aria-rowcount"), patient).toBe(String(manyEntries + 1));
    await expect.poll(() => list().locator(".entry-row").count(), patient).toBeLessThan(120);
    const { frames, seconds, worstMs } = await list().evaluate(async (element) => {
      let last = performance.now();
      const begun = last;
      let count = 0;
      let worst = 0;
      while (last - begun < 2000) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        const now = performance.now();
        worst = Math.max(worst, now - last);
        last = now;
        count += 1;
        element.scrollTop += 400;
      }
      return { frames: count, seconds: (last - begun) / 1000, worstMs: worst };
    });
    report(`scrolling 100,000 entries: ${(frames / seconds).toFixed(0)} frames a second, the slowest after ${worstMs.toFixed(0)} ms`);
    expect(frames / seconds).toBeGreaterThan(0.5);
    await list().focus();
    await press("End");
    await focused(nameOfMany(manyEntries - 1));
  });

  it("sorts, filters and chooses all of them", async () => {
    const sortMs = await list().evaluate(async (element) => {
      const header = element.querySelector<HTMLElement>("[role=columnheader] button");
      const begun = performance.now();
      header?.click();
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      return performance.now() - begun;
    });
    report(`sorting 100,000 entries the other way round: ${sortMs.toFixed(0)} ms`);
    expect(sortMs).toBeLessThan(30_000);
    await press("Home");
    await focused(nameOfMany(manyEntries - 1));
    await list().getByRole("columnheader").getByRole("button", { name: "Name" }).click();
    await list().focus();
    await press("Control+a");
    await tab.page.getByText("100,000 chosen").waitFor();
    await button("Add to basket").click();
    await tab.page.locator(".notice").getByText("A basket holds 10,000 items").waitFor();
    await press("Escape", "/");
    await tab.page.keyboard.type("entry-9999.");
    await tab.page.getByText("1 of 100,000 entries").waitFor();
  });
});

describe("what goes away meanwhile", () => {
  it("a disk that was closed elsewhere opens again by itself", async () => {
    await openFolder(full, 0, "/p2/srv", 2);
    await closeAllDisks();
    await row("odd").dblclick();
    await row("-rf").waitFor();
    await expect.poll(() => tab.page.getByRole("alert").count(), patient).toBe(0);
  });

  it("a connection that breaks in the middle of a folder leaves what is there, says so, and goes on", async () => {
    tab.expectProblems(/net::ERR_CONNECTION_REFUSED/);
    await tab.page.route(/\/files\?.*cursor=/, async (route) => await route.abort("connectionrefused"));
    await goTo(tab, at(full, 0, "/p2/srv/many"));
    await tab.page.getByText("the first 1,000 entries").waitFor();
    await row("file-00000").waitFor();
    await tab.page.getByRole("alert").getByText("unreachable").waitFor();
    await tab.page.unroute(/\/files\?.*cursor=/);
    await tab.page.getByRole("alert").getByRole("button", { name: "Try again" }).click();
    await tab.page.getByText("1,500 entries", { exact: true }).waitFor();
    await expect.poll(() => tab.page.getByRole("alert").count(), patient).toBe(0);
  });

  it("an agent that is killed comes back, and the folder with it", async () => {
    await openFolder(full, 0, "/p2/srv", 2);
    tab.expectProblems(/net::ERR_|CORS/);
    for (const pid of await descendantsWith(system.pid, "agent/main.ts", "PLUCK_HOME")) process.kill(pid, "SIGKILL");
    await row("many").dblclick();
    // Either the page said what was wrong and is asked to try again, or the agent was back before.
    await eventually("the folder is there", async () => {
      const again = tab.page.getByRole("alert").getByRole("button", { name: "Try again" });
      if (await again.isVisible()) await again.click().catch(() => undefined);
      return await tab.page.getByText("1,500 entries", { exact: true }).isVisible();
    }, 60_000);
  });
});

describe("everybody can use it", () => {
  it.each([["light", 1200], ["dark", 1200], ["light", 380], ["dark", 380]] as const)("in %s at %d pixels", async (scheme, width) => {
    const fresh = await openTab(browser, { scheme, width });
    await signIn(fresh, system, at(incremental, 0, "/p2/home/anna/documents"));
    await fresh.page.getByText("3 entries", { exact: true }).waitFor();
    await fresh.page.getByLabel("Compare with the point before").check();
    await fresh.page.locator(".comparison").getByText("1 gone").waitFor();
    const rows = fresh.page.getByRole("grid").getByRole("row");
    await rows.nth(1).locator(".row-check").click();
    await fresh.page.getByRole("button", { name: "Add to basket" }).click();
    await fresh.page.getByRole("button", { name: "Show", exact: true }).click();
    if (width === 380) await fresh.page.getByRole("button", { name: "Details", exact: true }).click();
    await fresh.page.getByRole("region", { name: "Details" }).getByText("Attributes changed").waitFor();
    expect(await findAccessibilityFaults(fresh)).toEqual([]);
    await expect.poll(() => sidewaysOverflow(fresh), patient).toBe(0);
    await fresh.page.getByRole("button", { name: "Copy a link …" }).click();
    await fresh.page.getByRole("button", { name: "Make the link" }).click();
    await fresh.page.getByLabel("curl line").waitFor();
    expect(await findAccessibilityFaults(fresh)).toEqual([]);
    fresh.assertNoProblems();
    await fresh.close();
  });
});

/** Measured values, for whoever runs the test. */
function report(line: string): void {
  process.stderr.write(`${line}\n`);
}
