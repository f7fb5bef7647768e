import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { readFileInfo } from "../../../api/links.ts";
import { asApiError, isAbort, type ApiError } from "../../../api/problem.ts";
import { CopyButton } from "../../../parts/copy-button.tsx";
import { common } from "../../../text/common.ts";
import { files } from "../../../text/files.ts";
import type { DiskSession } from "../disk-session.ts";

/** SHA-256 on request: the agent has to read the whole file for it. */
export function FileHash({ disk, path }: { disk: DiskSession; path: string }) {
  const hash = useSignal<string | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const isBusy = useSignal(false);
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);

  async function work(): Promise<void> {
    const controller = new AbortController();
    abort.current = controller;
    isBusy.value = true;
    error.value = undefined;
    try {
      const info = await disk.use((mountId) => readFileInfo(mountId, path, { hash: "sha256", signal: controller.signal }));
      hash.value = info.sha256;
    } catch (thrown) {
      if (!isAbort(thrown)) error.value = asApiError(thrown);
    } finally {
      isBusy.value = false;
    }
  }

  if (hash.value !== undefined) return <><code class="hash">{hash.value}</code> <CopyButton text={hash.value} /></>;
  if (isBusy.value) return <>{files.hashing} <button type="button" onClick={() => abort.current?.abort()}>{common.cancel}</button></>;
  return <>{error.value === undefined ? null : <span class="bad">{error.value.message} </span>}<button type="button" onClick={() => void work()}>{files.hashMake}</button></>;
}
