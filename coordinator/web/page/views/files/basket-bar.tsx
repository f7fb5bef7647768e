import { useSignal } from "@preact/signals";
import { formatSize } from "../../parts/format.ts";
import { basket, basketBytes, basketFolders, emptyBasket, keyOf, removeFromBasket } from "../../state/basket.ts";
import { hrefOf } from "../../state/route.ts";
import { files } from "../../text/files.ts";
import { FormatSelect } from "./actions.tsx";
import type { ArchiveFormat } from "./archives.ts";
import { curlForItems, downloadItems } from "./chosen.ts";
import { CurlDialog } from "./curl-dialog.tsx";
import { parentOf } from "./guest-paths.ts";
import { Name } from "./name.tsx";
import { visibleText } from "./visible-name.ts";

/** More are counted, not listed. */
const maxListed = 200;

/** What was gathered from anywhere, and the one archive of it. */
export function BasketBar({ archiveName }: { archiveName: string }) {
  const items = basket.value;
  const isOpen = useSignal(false);
  const isBusy = useSignal(false);
  const format = useSignal<ArchiveFormat>("zip");
  const isCurlShown = useSignal(false);
  if (items.length === 0) return null;
  const bytes = basketBytes.value;

  async function download(): Promise<void> {
    isBusy.value = true;
    await downloadItems(basket.value, format.value, archiveName);
    isBusy.value = false;
  }

  return (
    <section class="basket" aria-label={files.basket}>
      <div class="basket-bar">
        <strong aria-live="polite">{files.basketCount(items.length)}</strong>
        <span class="quiet">{files.basketSize(bytes === 0 && basketFolders.value > 0 ? "" : formatSize(bytes), basketFolders.value)}</span>
        <button type="button" class="primary" disabled={isBusy.value} onClick={() => void download()}>{isBusy.value ? files.working : files.basketDownload}</button>
        <FormatSelect format={format.value} onChange={(to) => { format.value = to; }} />
        <button type="button" onClick={() => { isCurlShown.value = true; }}>{files.copyCurl}</button>
        <button type="button" aria-expanded={isOpen.value} onClick={() => { isOpen.value = !isOpen.value; }}>{isOpen.value ? files.basketHide : files.basketShow}</button>
        <button type="button" class="plain" onClick={emptyBasket}>{files.basketEmpty}</button>
      </div>
      {isOpen.value ? (
        <ul class="basket-items">
          {items.slice(0, maxListed).map((item) => (
            <li key={keyOf(item)}>
              <a href={hrefOf({ view: "files", backupId: item.backupId, diskIndex: item.diskIndex, path: item.type === "directory" ? item.path : parentOf(item.path) })}><Name name={item.path} /></a>
              <span class="quiet">{files.basketItem(item.diskIndex, item.backupId)}{item.type === "file" ? ` · ${formatSize(item.size)}` : ""}</span>
              <button type="button" class="plain" aria-label={files.basketRemove(visibleText(item.name))} onClick={() => removeFromBasket(item)}>×</button>
            </li>
          ))}
          {items.length > maxListed ? <li class="quiet">…</li> : null}
        </ul>
      ) : null}
      {isCurlShown.value ? <CurlDialog lines={() => curlForItems(basket.value, format.value, archiveName)} onClose={() => { isCurlShown.value = false; }} /> : null}
    </section>
  );
}
