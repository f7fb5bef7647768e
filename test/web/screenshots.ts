import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pgtestFull, pgtestIncremental } from "../../deploy/demo/catalog.ts";
import { goTo, launchBrowser, openTab, signIn, startSystemWithPage, type Tab, type TabOptions } from "./browser.ts";

// npm run screenshots: the page's main states over the demo repository, as docs/screenshots/*.png for the README.

const folder = join(import.meta.dirname, "../../docs/screenshots");
const maxBytes = 150_000;
const documents = `/files/${pgtestIncremental.backup_id}/0/p2/home/anna/Documents`;

interface Shot {
  readonly name: string;
  readonly path: string;
  readonly tab?: TabOptions;
  /** Brings the page into the state that is shown. */
  readonly prepare: (tab: Tab) => Promise<void>;
}

const shots: readonly Shot[] = [
  { name: "machines", path: "/", prepare: async ({ page }) => await page.locator(".row").first().waitFor() },
  { name: "restore-points", path: "/vm/pgtest1", prepare: async ({ page }) => await page.locator(".disk").first().waitFor() },
  {
    name: "volumes",
    path: `/files/${pgtestFull.backup_id}/0`,
    prepare: async ({ page }) => await page.getByText("Guest's own tree").waitFor(),
  },
  { name: "files", path: documents, prepare: showChanges },
  {
    name: "preview-dark",
    path: `/files/${pgtestIncremental.backup_id}/0/p2/etc`,
    tab: { scheme: "dark" },
    prepare: async ({ page }) => {
      await page.getByText("hosts", { exact: true }).first().click();
      await page.getByRole("button", { name: "Preview" }).click();
      await page.getByRole("dialog").getByText("web02").waitFor();
    },
  },
  { name: "files-narrow", path: documents, tab: { width: 380 }, prepare: async ({ page }) => await page.getByText("report.md").first().waitFor() },
  { name: "open-disks", path: "/mounts", prepare: async ({ page }) => await page.locator(".mount").first().waitFor() },
];

/** What is new, other and gone against the point before, the newest file picked. */
async function showChanges({ page }: Tab): Promise<void> {
  await page.getByLabel("Compare with the point before").check();
  await page.getByText("draft.txt").first().waitFor();
  await page.getByText("report.md").first().click();
}

const home = await mkdtemp(join(tmpdir(), "pluck-screenshots-"));
try {
  await mkdir(folder, { recursive: true });
  const system = await startSystemWithPage(home);
  const browser = await launchBrowser();
  try {
    for (const { name, path, tab: options, prepare } of shots) {
      const tab = await openTab(browser, options);
      await signIn(tab, system);
      await goTo(tab, path);
      await prepare(tab);
      // What comes after the first sight: comparisons, counts.
      await tab.page.waitForLoadState("networkidle");
      const file = join(folder, `${name}.png`);
      await tab.page.screenshot({ path: file });
      const { size } = await stat(file);
      if (size > maxBytes) throw new Error(`${file} has ${size} bytes: more than ${maxBytes}`);
      process.stdout.write(`${file} ${size}\n`);
      await tab.close();
    }
  } finally {
    await browser.close();
    await system.stop();
  }
} finally {
  await rm(home, { recursive: true, force: true });
}
