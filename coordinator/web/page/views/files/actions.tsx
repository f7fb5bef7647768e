import { useSignal } from "@preact/signals";
import { addToBasket, maxBasketItems } from "../../state/basket.ts";
import { files } from "../../text/files.ts";
import { archiveFormats, type ArchiveFormat } from "./archives.ts";
import { curlForChosen, downloadChosen, toBasketItem, type Chosen } from "./chosen.ts";
import { CurlDialog } from "./curl-dialog.tsx";
import { LinkDialog } from "./link-dialog.tsx";
import { forgetNotice, tell } from "./notice.tsx";

interface Props {
  /** How many; what they are is asked when a button is pressed. */
  readonly count: number;
  readonly hasChosen: boolean;
  readonly chosen: () => readonly Chosen[];
  readonly onClear: () => void;
  readonly archiveName: string;
}

/** What may be done with the chosen entries, or with the one that has the keyboard. */
export function Actions({ count, hasChosen, chosen, onClear, archiveName }: Props) {
  const format = useSignal<ArchiveFormat>("zip");
  const dialog = useSignal<{ readonly kind: "link" | "curl"; readonly chosen: readonly Chosen[] } | undefined>(undefined);
  const isBusy = useSignal(false);
  const open = dialog.value;
  const close = (): void => { dialog.value = undefined; };

  async function download(): Promise<void> {
    isBusy.value = true;
    await downloadChosen(chosen(), format.value, archiveName);
    isBusy.value = false;
  }
  function gather(): void {
    forgetNotice();
    if (addToBasket(chosen().map(toBasketItem))) onClear();
    else tell(files.basketFull(maxBasketItems));
  }

  const none = count === 0;
  return (
    <div class="actions">
      <span class="quiet actions-count" aria-live="polite">{hasChosen ? files.chosen(count) : ""}</span>
      <button type="button" class="primary" disabled={none || isBusy.value} onClick={() => void download()}>{isBusy.value ? files.working : files.download}</button>
      <FormatSelect format={format.value} onChange={(to) => { format.value = to; }} />
      <button type="button" disabled={none} onClick={gather}>{files.addToBasket}</button>
      <button type="button" disabled={count !== 1} onClick={() => { dialog.value = { kind: "link", chosen: chosen() }; }}>{files.copyLink}</button>
      <button type="button" disabled={none} onClick={() => { dialog.value = { kind: "curl", chosen: chosen() }; }}>{files.copyCurl}</button>
      {hasChosen ? <button type="button" class="plain" onClick={onClear}>{files.clearChosen}</button> : null}
      {open?.kind === "link" && open.chosen[0] !== undefined ? <LinkDialog chosen={open.chosen[0]} onClose={close} /> : null}
      {open?.kind === "curl" ? <CurlDialog lines={() => curlForChosen(open.chosen, format.value, archiveName)} onClose={close} /> : null}
    </div>
  );
}

export function FormatSelect({ format, onChange }: { format: ArchiveFormat; onChange: (to: ArchiveFormat) => void }) {
  return (
    <select aria-label={files.format} value={format} onChange={(event) => onChange(event.currentTarget.value as ArchiveFormat)}>
      {archiveFormats.map((one) => <option key={one} value={one}>{one}</option>)}
    </select>
  );
}
