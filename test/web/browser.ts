import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { execa } from "execa";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { expect } from "vitest";
import { startSystem, type System } from "../system/system.ts";

// What every test of the page stands on: a headless Chromium, a tab that takes nothing lightly, and axe.

const executablePath = "/usr/bin/chromium";
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** A loaded machine is given time: what a test waits for is a state. */
const patienceMs = 45_000;
/** For expect.poll: what a page shows comes about a moment after what brought it about. */
export const patient = { timeout: 30_000, interval: 25 };

export async function launchBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath, args: flags, timeout: 90_000 });
}

/** A whole system as startSystem gives it, with the page as its sources stand now. */
export async function startSystemWithPage(home: string, environment: Record<string, string> = {}): Promise<System> {
  await buildPage();
  return await startSystem(home, environment);
}

/** Some milliseconds when it is built already. */
export async function buildPage(): Promise<void> {
  await execa(process.execPath, [join(import.meta.dirname, "../../coordinator/web/build.ts")]);
}

export interface TabOptions {
  readonly scheme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
}

/** One tab with a session of its own. */
export interface Tab {
  readonly page: Page;
  readonly context: BrowserContext;
  /**
   * What the page did wrong so far: uncaught errors, whatever the console calls an error, breaches of the
   * content security policy. That a call of an API was refused is no such error: what the page makes of it is tested.
   */
  readonly problems: readonly string[];
  /** From here on, problems that match are expected: a server that the test takes away. */
  expectProblems(pattern: RegExp): void;
  /** Fails the test when there was a problem; for afterEach. Forgets what there was. */
  assertNoProblems(): void;
  close(): Promise<void>;
}

/** The content security policy holds in it as for everybody (no bypassCSP). */
export async function openTab(browser: Browser, { scheme = "light", width = 1200, height = 760 }: TabOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, locale: "en-GB", timezoneId: "UTC", reducedMotion: "reduce", acceptDownloads: true });
  context.setDefaultTimeout(patienceMs);
  context.setDefaultNavigationTimeout(patienceMs);
  const problems: string[] = [];
  const expected: RegExp[] = [];
  const note = (problem: string): void => {
    if (!expected.some((pattern) => pattern.test(problem))) problems.push(problem);
  };
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  context.on("page", (page) => {
    page.on("pageerror", (error) => note(`uncaught: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      if (message.type() !== "error") return;
      const { url } = message.location();
      // Chromium writes a line for every answer from 400 on, whatever the page does with it.
      if (/^Failed to load resource: the server responded with a status of/.test(message.text()) && /\/v1\//.test(url)) return;
      note(`console: ${message.text()} (${url})`);
    });
  });
  const page = await context.newPage();
  return {
    page,
    context,
    problems,
    expectProblems: (pattern) => void expected.push(pattern),
    assertNoProblems: () => expect(problems.splice(0)).toEqual([]),
    close: async () => await context.close(),
  };
}

/** Signs in as a person does. @param path what to open: an address of the page, after its "#" */
export async function signIn({ page }: Pick<Tab, "page">, system: Pick<System, "url" | "token">, path = "/"): Promise<void> {
  await page.goto(`${system.url}/#${path}`);
  await page.getByLabel("API token").fill(system.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Main" }).waitFor();
}

/** Opens another address of the page without loading it anew. @param path after its "#" */
export async function goTo({ page }: Pick<Tab, "page">, path: string): Promise<void> {
  await page.evaluate((hash) => { location.hash = hash; }, path);
}

const axeSource = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface AxeResult {
  readonly violations: readonly { readonly id: string; readonly impact: string | null; readonly help: string; readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[] }[];
}

/**
 * What axe calls serious or critical, one line a place; none is the aim. It runs in a world of its own
 * over the page's DOM: nothing of it reaches the page's scripts, and the page's policy stays as it is.
 */
export async function findAccessibilityFaults({ page, context }: Pick<Tab, "page" | "context">): Promise<string[]> {
  const session = await context.newCDPSession(page);
  try {
    const { frameTree } = await session.send("Page.getFrameTree");
    const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
    await session.send("Runtime.evaluate", { expression: await axeSource, contextId });
    const run = 'axe.run(document, { resultTypes: ["violations"], elementRef: false })';
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", { expression: `${run}.then(JSON.stringify)`, contextId, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`axe: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    const { violations } = JSON.parse(String(result.value)) as AxeResult;
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary ?? ""}`));
  } finally {
    await session.detach();
  }
}

/** How many pixels the page is wider than its window: 0 when nothing has to be scrolled sideways. */
export async function sidewaysOverflow({ page }: Pick<Tab, "page">): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
