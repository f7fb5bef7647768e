import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Locator } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { formatSize } from "../../coordinator/web/page/parts/format.ts";
import type { Backup, Mount } from "../../coordinator/web/page/api/types.ts";
import type { System } from "../system/system.ts";
import { findAccessibilityFaults, goTo, launchBrowser, openTab, patient, sidewaysOverflow, signIn, type Tab } from "./browser.ts";
import { readVaultImage, slots, startCatalogSite, vaultPassphrase, type CatalogSite } from "./catalog-site.ts";

// Property: in a real browser, over the real system, people find their way from a token to an open disk,
// see what is open, where it lies and what happened; and what can't be had says so, and why. The tests
// follow one another as a first day with Pluck does.

let folder: string;
let site: CatalogSite;
let system: System;
let browser: Browser;
let tab: Tab;

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-catalog-");
  [site, browser] = await Promise.all([startCatalogSite(folder), launchBrowser()]);
  system = site.system;
  tab = await openTab(browser);
});

afterEach(() => tab.assertNoProblems());

afterAll(async () => {
  await browser?.close();
  await site?.stop();
  await rm(folder, { recursive: true, force: true });
});

const rows = (): Locator => tab.page.locator(".row-name");
const heading = (name: string): Locator => tab.page.getByRole("heading", { name, exact: true });
const button = (name: string | RegExp): Locator => tab.page.getByRole("button", { name, exact: true });
const link = (name: string | RegExp): Locator => tab.page.getByRole("link", { name, exact: true });
const address = (): string => decodeURIComponent(new URL(tab.page.url()).hash);

/** Waits until an element shows exactly these texts, in this order. */
async function shows(what: Locator, texts: readonly string[]): Promise<void> {
  await expect.poll(async () => await what.allTextContents(), { timeout: 45_000, interval: 50 }).toEqual(texts);
}

/** Behind the page's back, which then knows nothing of what was open. */
async function endMounts(): Promise<void> {
  await goTo(tab, "/sites");
  await tab.page.reload();
  await heading("Sites").waitFor();
  const openMounts = async (): Promise<Mount[]> => (await system.api("GET", "/restore/mounts")).body.mounts as Mount[];
  await expect.poll(async () => {
    for (const { mount_id } of await openMounts()) await system.api("DELETE", `/restore/${mount_id}`);
    return await openMounts();
  }, { timeout: 45_000 }).toEqual([]);
}

async function backupsOf(vmName: string): Promise<Backup[]> {
  return (await system.api("GET", `/backups?vm_name=${vmName}`)).body.backups as Backup[];
}

describe("signing in", () => {
  it("refuses a wrong token in words", async () => {
    await tab.page.goto(system.url);
    await tab.page.getByLabel("API token").fill("wrong");
    await tab.page.keyboard.press("Enter");
    await tab.page.getByRole("alert").getByText("not accepted").waitFor();
    expect(await findAccessibilityFaults(tab)).toEqual([]);
  });

  it("leads from another name of this machine to the address that agents answer", async () => {
    await tab.page.goto(`${system.url.replace("127.0.0.1", "localhost")}/#/sites`);
    await tab.page.waitForURL(`${system.url}/#/sites`);
    await tab.page.getByLabel("API token").waitFor();
  });

  it("says so where that address is no other name of this machine", async () => {
    await tab.page.route("**/page.json", (asked) => asked.fulfill({ json: { origin: "http://pluck.example" } }));
    await tab.page.reload();
    const note = tab.page.getByRole("alert").filter({ hasText: "agents answer pages of http://pluck.example only" });
    await expect.poll(() => note.getByRole("link").getAttribute("href"), patient).toBe("http://pluck.example/#/sites");
    expect(await findAccessibilityFaults(tab)).toEqual([]);
    await tab.page.unroute("**/page.json");
  });

  it("accepts the administrator's, and keeps it over a reload", async () => {
    await signIn(tab, system);
    await tab.page.reload();
    await heading("Machines").waitFor();
    await expect.poll(() => tab.page.title(), patient).toBe("Machines · Pluck");
    expect(await tab.context.cookies()).toEqual([]);
  });
});

describe("an empty catalog", () => {
  it("says how backups come into it, and scans at a click", async () => {
    await heading("No backups are registered yet").waitFor();
    expect(await findAccessibilityFaults(tab)).toEqual([]);
    await site.fillRepository();
    await button("Scan repository Repository on this machine").click();
    await shows(rows(), ["pgtest1", "vault"]);
    await site.addFailedBackup();
  });
});

describe("the machines", () => {
  const search = (): Locator => tab.page.getByRole("searchbox");

  it("are found by a part of their name or of their site's, as one types", async () => {
    await search().fill("AUL");
    await shows(rows(), ["vault"]);
    await search().fill("on this mach");
    await shows(rows(), ["pgtest1", "vault"]);
    await search().fill("<b>nothing</b>");
    await tab.page.getByText("No machine and no site has “<b>nothing</b>” in its name.").waitFor();
  });

  it("stay those of the last word when an earlier answer comes late", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    await tab.page.route(/\/vms\?search=pg/, async (route) => {
      await held;
      await route.continue().catch(() => undefined);
    });
    const asked = tab.page.waitForRequest(/search=pg/);
    await search().fill("pg");
    await asked;
    await search().fill("vault");
    await shows(rows(), ["vault"]);
    const aborted = tab.page.waitForRequest(/search=vaul$/);
    release();
    await search().fill("vaul");
    await aborted;
    await shows(rows(), ["vault"]);
    await tab.page.unrouteAll({ behavior: "ignoreErrors" });
  });

  it("are reached by keyboard alone: /, a word, arrows, Enter", async () => {
    await search().blur();
    await tab.page.keyboard.press("/");
    await tab.page.keyboard.type("a");
    await shows(rows(), ["pgtest1", "vault"].filter((name) => name.includes("a") || "Repository on this machine".includes("a")));
    await tab.page.keyboard.press("ArrowDown");
    await tab.page.keyboard.press("ArrowDown");
    await tab.page.keyboard.press("ArrowUp");
    await tab.page.keyboard.press("Enter");
    await heading("pgtest1").waitFor();
    expect(address()).toBe("#/vm/pgtest1");
    await tab.page.goBack();
    await heading("Machines").waitFor();
  });
});

describe("restore points", () => {
  const heads = (): Locator => tab.page.locator(".point-head");

  it("are told apart by day and kind; failed and incomplete ones are shown as such", async () => {
    await goTo(tab, "/vm/pgtest1");
    await shows(tab.page.locator(".day > h2"), ["Saturday 11 October 2025", "Friday 10 October 2025", "Thursday 9 October 2025", "Wednesday 8 October 2025"]);
    const stored = async (diskNames: RegExp): Promise<string> => {
      const files = (await backupsOf("pgtest1")).flatMap(({ disks }) => disks.map(({ qcow2_path }) => qcow2_path ?? "")).filter((path) => diskNames.test(path));
      const sizes = await Promise.all(files.map(async (path) => (await stat(join(folder, "local", path))).blocks * 512));
      return formatSize(sizes.reduce((sum, size) => sum + size, 0));
    };
    await shows(heads(), [
      "19:24incrementalfailedRepository on this machine",
      "19:24fullincompleteRepository on this machine",
      `19:24incremental${await stored(/20251009/)} changedRepository on this machine`,
      `19:24full${await stored(/20251008/)} storedRepository on this machine`,
    ]);
  });

  it("open on the newest of which every disk opens", async () => {
    await expect.poll(() => heads().evaluateAll((all) => all.map((head) => head.getAttribute("aria-expanded"))), patient).toEqual(["false", "false", "true", "false"]);
    await shows(tab.page.locator(".disk h3"), ["Disk 0", "Disk 1"]);
  });

  it("say why they can't be opened", async () => {
    await heads().nth(0).click();
    await tab.page.getByText("This backup failed: nothing of it can be opened.").waitFor();
    await expect.poll(() => link(/^Open disk \d/).count(), patient).toBe(0);
    await heads().nth(1).click();
    await tab.page.getByText("Not every disk was backed up.").waitFor();
    await tab.page.getByText("The backup of this disk failed.").waitFor();
    await shows(link(/^Open disk \d/), ["Open"]);
    expect(await findAccessibilityFaults(tab)).toEqual([]);
  });

  it("keep their address", async () => {
    const [, , , full] = await backupsOf("pgtest1");
    await heads().nth(3).click();
    expect(address()).toBe(`#/vm/pgtest1/${full?.backup_id}`);
    await tab.page.reload();
    await heads().nth(3).waitFor();
    await expect.poll(() => heads().nth(3).getAttribute("aria-expanded"), patient).toBe("true");
  });

  it("of a machine that there is not are not an empty list", async () => {
    await goTo(tab, "/vm/nobody");
    await tab.page.getByText("No restore point of nobody is registered.").waitFor();
  });
});

describe("a disk", () => {
  const volume = (name: string): Locator => tab.page.getByRole("list", { name: "Volumes" }).locator("> li").filter({ has: tab.page.getByRole("heading", { name, exact: true }) });

  it("opens at a click, and shows its volumes", async () => {
    await goTo(tab, "/vm/pgtest1");
    await link(/^Open disk 0/).click();
    await volume("p2").getByText("testfs").waitFor();
    const [, , incremental] = await backupsOf("pgtest1");
    expect(address().replace(/\/$/, "")).toBe(`#/files/${incremental?.backup_id}/0`);
    await expect.poll(() => volume("p1").locator("dd").allTextContents(), patient).toEqual(["vfat", "EFI", "48.0 MiB"]);
    await expect.poll(() => volume("p2").locator("dd").allTextContents(), patient).toEqual(["ext4", "testfs", "96.0 MiB"]);
    await volume("p2").getByText("clean").waitFor();
    await expect.poll(() => volume("p2").getByRole("meter").getAttribute("value"), patient).toMatch(/^\d+$/);
    expect(await findAccessibilityFaults(tab)).toEqual([]);
  });

  it("that is encrypted asks for its key, and says when it is wrong", async () => {
    await goTo(tab, "/vm/vault");
    await link(/^Open disk 0/).click();
    await volume("p2").getByText("locked").waitFor();
    // A label is the guest's, and may be hostile.
    await expect.poll(() => volume("p1").locator("dd").allTextContents(), patient).toEqual(["ext4", "<i>in\\u{202e}", "4.0 MiB"]);
    expect(await findAccessibilityFaults(tab)).toEqual([]);
    await volume("p2").getByLabel("Passphrase").fill("wrong horse");
    await tab.page.keyboard.press("Enter");
    await volume("p2").getByRole("alert").getByText("doesn't open it").waitFor();
    await volume("p2").getByLabel("Passphrase").fill("");
    await volume("p2").getByLabel("or a key file").setInputFiles({ name: "key", mimeType: "application/octet-stream", buffer: Buffer.from(vaultPassphrase) });
    await volume("p2").getByRole("button", { name: "Unlock" }).click();
    await volume("p2").getByText("ext4").waitFor();
    await link("p2").click();
    await tab.page.getByText("secret.txt").first().waitFor();
    await tab.page.goBack();
  });

  it("gives the raw bytes of a volume that nothing can read", async () => {
    const { volumes } = (await system.api("GET", "/restore/mounts")).body.mounts.find(({ backup_id }: Mount) => backup_id.includes("vault")) as Mount;
    const unknown = volumes.find(({ name }) => name === "p3");
    await volume("p3").getByText("can't be read").waitFor();
    const [download] = await Promise.all([tab.page.waitForEvent("download"), button("Download raw: p3").click()]);
    const start = unknown?.partition?.start_bytes ?? -1;
    expect((await readFile(await download.path())).equals((await readVaultImage(folder)).subarray(start, start + (unknown?.size_bytes ?? 0)))).toBe(true);
  });

  it("for which no slot is free names the disks that hold them, and opens once one has ended", async () => {
    await endMounts();
    const [, , incremental, full] = await backupsOf("pgtest1");
    expect(slots).toBe(3);
    for (const [backup, index] of [[full, 0], [full, 1], [incremental, 0]] as const) await system.mount(backup?.backup_id ?? "", index);
    await goTo(tab, "/vm/pgtest1");
    await link(/^Open disk 1/).click();
    await tab.page.getByText("nbd_devices_exhausted").waitFor();
    await button("End: pgtest1, disk 0, 2025-10-08 19:24").click();
    await volume("disk").getByText("ext4").waitFor();
  });

  it("whose file is gone says so, and what to do", async () => {
    await endMounts();
    await site.removeDisk();
    const [, incomplete] = await backupsOf("pgtest1");
    await goTo(tab, `/vm/pgtest1/${incomplete?.backup_id}`);
    await link(/^Open disk 0/).click();
    await tab.page.getByRole("alert").getByText("qcow2_missing").waitFor();
    await tab.page.getByText("The file is gone from the repository.").waitFor();
    await goTo(tab, "/mounts");
    await tab.page.locator(".mount").getByText("qcow2_missing").waitFor();
    await button("Dismiss: pgtest1, disk 0, 2025-10-10 19:24").click();
    await tab.page.getByText("No disk is open.").waitFor();
  });

  it("opens by keyboard alone, from its machine on", async () => {
    await endMounts();
    await goTo(tab, "/vm/vault");
    await heading("vault").waitFor();
    await link(/^Open disk 0/).waitFor();
    await tab.page.keyboard.press("ArrowDown");
    await tab.page.keyboard.press("ArrowDown");
    await expect.poll(async () => await tab.page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toMatch(/^Open disk 0/);
    await tab.page.keyboard.press("Enter");
    await volume("p1").waitFor();
  });
});

describe("open disks", () => {
  const left = async (): Promise<number> => {
    const [, hours, minutes, seconds] = /ends in (?:(\d+):)?(\d+):(\d+)/.exec((await tab.page.locator(".countdown").first().textContent()) ?? "") ?? [];
    return Number(hours ?? 0) * 3600 + Number(minutes) * 60 + Number(seconds);
  };

  it("count down, and begin anew when extended", async () => {
    await goTo(tab, "/mounts");
    await heading("vault, disk 0").waitFor();
    await tab.page.getByText("1 of 3 slots in use").waitFor();
    const before = await left();
    await expect.poll(left, { timeout: 45_000 }).toBeLessThan(before - 1);
    const [mount] = (await system.api("GET", "/restore/mounts")).body.mounts as Mount[];
    await button("Extend: vault, disk 0, 2025-10-08 19:24").click();
    await tab.page.getByRole("status").getByText("vault, disk 0 stays open longer.").waitFor();
    const [extended] = (await system.api("GET", "/restore/mounts")).body.mounts as Mount[];
    expect(Date.parse(extended?.expires_at ?? "")).toBeGreaterThan(Date.parse(mount?.expires_at ?? ""));
    expect(await findAccessibilityFaults(tab)).toEqual([]);
  });

  it("lead into their files", async () => {
    await link("Browse: vault, disk 0, 2025-10-08 19:24").click();
    await link("p1").waitFor();
    await tab.page.goBack();
  });

  it("end at a click", async () => {
    await button("End: vault, disk 0, 2025-10-08 19:24").click();
    await tab.page.getByText("No disk is open.").waitFor();
    expect((await system.api("GET", "/restore/mounts")).body.mounts).toEqual([]);
  });
});

describe("sites", () => {
  it("show their agents, and are scanned at a click", async () => {
    await site.startSecondSite();
    await goTo(tab, "/sites");
    const porto = tab.page.locator(".site").filter({ hasText: "Porto" });
    await porto.getByText("porto-1", { exact: true }).waitFor();
    await button("Scan repository Porto").click();
    await porto.getByText("2 new restore points, 0 already known.").waitFor();
    const local = tab.page.locator(".site").filter({ hasText: "Repository on this machine" });
    await button("Scan repository Repository on this machine").click();
    await local.getByText("1 file can't be used:").waitFor();
    await local.getByText("pgtest1/disk-1/backup-pgtest1-disk1-20251010-192431.qcow2").waitFor();
    expect(await findAccessibilityFaults(tab)).toEqual([]);
  });

  it("that drop away are shown as that, with all that is known of them", async () => {
    await goTo(tab, "/");
    await shows(rows(), ["fileserver", "mailserver", "pgtest1", "vault"]);
    await system.mount((await backupsOf("mailserver"))[0]?.backup_id ?? "");
    await site.killSecondSite();
    await tab.page.getByText(/Site Porto is offline \(last seen 20\d\d-/).waitFor();
    await shows(tab.page.locator(".row .tag-bad"), ["Porto: offline", "Porto: offline"]);
    await shows(rows(), ["fileserver", "mailserver", "pgtest1", "vault"]);
    await link(/^fileserver/).click();
    await tab.page.getByText("Site Porto is offline").waitFor();
    await link(/^Open disk 0/).click();
    await tab.page.getByRole("alert").getByText("agent_offline").waitFor();
    await tab.page.getByText("The site can't be reached.").waitFor();
    await goTo(tab, "/mounts");
    await tab.page.locator(".mount").filter({ hasText: "mailserver" }).getByText("Agent porto-1 is offline").waitFor();
  });
});

describe("the audit trail", () => {
  it("tells who did what, and is filtered as one types", async () => {
    await link("Audit trail").click();
    const types = tab.page.locator(".events tbody tr td:nth-child(3)");
    await types.first().waitFor();
    await tab.page.getByRole("searchbox").fill("unlocked");
    await shows(types, ["unlocked", "unlocked"]);
    await shows(tab.page.locator(".events tbody tr td:nth-child(7)"), ["complete", "wrong_key"]);
  });

  it("is not offered to operators", async () => {
    const { token } = (await system.api("POST", "/tokens", { name: "operator", role: "operator" })).body as { token: string };
    const operator = await openTab(browser);
    await signIn(operator, { url: system.url, token });
    await operator.page.getByRole("link", { name: "Sites" }).waitFor();
    await expect.poll(() => operator.page.getByRole("link", { name: "Audit trail" }).count(), patient).toBe(0);
    operator.assertNoProblems();
    await operator.close();
  });
});

describe("every view", () => {
  const views = ["/", "/vm/pgtest1", "/mounts", "/sites", "/events"] as const;

  it.each([["light", 1200], ["dark", 380]] as const)("is accessible in the %s scheme, and %s pixels are enough", async (scheme, width) => {
    await system.mount((await backupsOf("vault"))[0]?.backup_id ?? "");
    const other = await openTab(browser, { scheme, width });
    await other.page.goto(system.url);
    await other.page.getByLabel("API token").waitFor();
    expect([await findAccessibilityFaults(other), await sidewaysOverflow(other)]).toEqual([[], 0]);
    await signIn(other, system);
    for (const view of views) {
      await goTo(other, view);
      await other.page.locator(".row, .point-body, .mount, .site, .events").first().waitFor();
      expect([view, await findAccessibilityFaults(other), await sidewaysOverflow(other)]).toEqual([view, [], 0]);
      await expect.poll(() => other.page.title(), { ...patient, message: view }).toMatch(/^.+ · Pluck$/);
    }
    other.assertNoProblems();
    await other.close();
  });

  it("puts the focus where its content begins", async () => {
    for (const [name, focused] of [["Open disks", "h1"], ["Sites", "h1"], ["Audit trail", "input"], ["Machines", "input"]] as const) {
      await link(name).click();
      await expect.poll(async () => await tab.page.evaluate(() => document.activeElement?.localName)).toBe(focused);
      await heading(name).waitFor();
    }
  });

  it("is left by signing out", async () => {
    await button("Sign out").click();
    await tab.page.getByLabel("API token").waitFor();
    await expect.poll(() => tab.page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }])), patient).not.toContain(system.token);
  });

  it("is left when the token is taken away, and says so", async () => {
    const { id, token } = (await system.api("POST", "/tokens", { name: "for a while", role: "operator" })).body as { id: string; token: string };
    await signIn(tab, { url: system.url, token });
    await heading("Machines").waitFor();
    expect((await system.api("DELETE", `/tokens/${id}`)).status).toBe(204);
    await tab.page.getByRole("alert").getByText("Your token is no longer accepted").waitFor();
    await expect.poll(async () => await tab.page.evaluate(() => document.activeElement?.id)).toBe("token");
    await expect.poll(() => tab.page.title(), patient).toBe("Sign in · Pluck");
  });
});
