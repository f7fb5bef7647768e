import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { makeRepository, type TestRepository } from "../system/repository.ts";
import type { System } from "../system/system.ts";
import { findAccessibilityFaults, launchBrowser, openTab, sidewaysOverflow, signIn, startSystemWithPage, type Tab } from "./browser.ts";

// Property: in a real browser, over the real system, people find their way from a token to an open disk.

let folder: string;
let repository: TestRepository;
let system: System;
let browser: Browser;
let tab: Tab;

beforeAll(async () => {
  folder = await mkdtemp("/dev/shm/pluck-catalog-");
  repository = await makeRepository(folder);
  [system, browser] = await Promise.all([startSystemWithPage(join(folder, "home"), { PLUCK_REPOSITORY: repository.path }), launchBrowser()]);
  tab = await openTab(browser);
});

afterEach(() => tab.assertNoProblems());

afterAll(async () => {
  await browser?.close();
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("signing in", () => {
  it("refuses a wrong token in words", async () => {
    await tab.page.goto(system.url);
    await tab.page.getByLabel("API token").fill("wrong");
    await tab.page.keyboard.press("Enter");
    await tab.page.getByRole("alert").getByText("not accepted").waitFor();
    expect(await findAccessibilityFaults(tab)).toEqual([]);
    expect(await sidewaysOverflow(tab)).toBe(0);
  });

  it("accepts the administrator's, and shows the machines", async () => {
    await signIn(tab, system);
    await tab.page.getByRole("heading", { level: 1 }).waitFor();
    expect(await findAccessibilityFaults(tab)).toEqual([]);
  });
});
