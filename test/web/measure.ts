import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pgtestFull } from "../../deploy/demo/catalog.ts";
import { eventually, type System } from "../system/system.ts";
import { goTo, launchBrowser, openTab, signIn, startSystemWithPage, type Tab } from "./browser.ts";

// npm run bench:page: how long people wait for the page, in a real browser, over the demo repository.
// Times are taken inside the page, from the click to the frame that shows what was asked for.

const rounds = Number(process.argv[2] ?? 15);

const home = await mkdtemp(join(tmpdir(), "pluck-measure-"));
try {
  const system = await startSystemWithPage(home);
  const browser = await launchBrowser();
  try {
    const tab = await openTab(browser);
    await noteReady(tab);
    await signIn(tab, system);
    const times = { ready: [] as number[], volumes: [] as number[], folder: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      await goTo(tab, "/");
      times.ready.push(await reload(tab));
      await endMounts(system);
      await goTo(tab, `/vm/${pgtestFull.vm_name}/${pgtestFull.backup_id}`);
      await tab.page.locator(".disk .card-link").first().waitFor();
      times.volumes.push(await clickUntil(tab, ".disk .card-link", ".volumes .card-opens"));
      await tab.page.locator(".volumes a[href$='/p2']").waitFor();
      times.folder.push(await clickUntil(tab, ".volumes a[href$='/p2']", ".entry-name"));
    }
    print("page loaded anew until machines are listed and can be searched", times.ready, 1000);
    print("click on a closed disk until its volumes are shown", times.volumes, 300);
    print("click on a volume until its first folder is shown", times.folder, 300);
  } finally {
    await browser.close();
    await system.stop();
  }
} finally {
  await rm(home, { recursive: true, force: true });
}

/** From here on the page itself notes when it is ready: asking from outside takes longer than what is measured. */
async function noteReady({ page }: Tab): Promise<void> {
  await page.addInitScript(() => {
    const look = (): void => {
      if (document.querySelector(".row") !== null && document.activeElement instanceof HTMLInputElement) document.documentElement.dataset["ready"] = String(performance.now());
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}

/** @returns milliseconds from the navigation's start */
async function reload({ page }: Tab): Promise<number> {
  await page.reload();
  await page.locator("html[data-ready]").waitFor();
  return Number(await page.locator("html").getAttribute("data-ready"));
}

/** @returns milliseconds from the click to the frame after `shown` has come */
async function clickUntil({ page }: Tab, clicked: string, shown: string): Promise<number> {
  return await page.evaluate(
    async ([from, to]) =>
      await new Promise<number>((resolve) => {
        const begunAt = performance.now();
        const look = (): void => {
          if (document.querySelector(to ?? "") === null) requestAnimationFrame(look);
          else requestAnimationFrame(() => resolve(performance.now() - begunAt));
        };
        document.querySelector<HTMLElement>(from ?? "")?.click();
        look();
      }),
    [clicked, shown],
  );
}

async function endMounts(system: System): Promise<void> {
  await eventually("no disk is open", async () => {
    const { mounts } = (await system.api("GET", "/restore/mounts")).body as { mounts: { mount_id: string }[] };
    for (const { mount_id } of mounts) await system.api("DELETE", `/restore/${mount_id}`);
    return mounts.length === 0;
  });
}

function print(what: string, times: readonly number[], aimMs: number): void {
  const sorted = times.toSorted((a, b) => a - b);
  const p50 = sorted[Math.floor(sorted.length / 2)] ?? 0;
  process.stdout.write(`${what}: p50 of ${sorted.length} ${p50.toFixed(0)} ms, fastest ${sorted[0]?.toFixed(0)} ms, slowest ${sorted.at(-1)?.toFixed(0)} ms; aim ${aimMs} ms: ${p50 < aimMs ? "met" : "missed"}\n`);
}
