import { useSignal } from "@preact/signals";
import { scanRepository } from "../api/catalog.ts";
import { asApiError, type ApiError } from "../api/problem.ts";
import type { ScanResult } from "../api/types.ts";
import { catalog } from "../text/catalog.ts";
import { BusyButton } from "./busy-button.tsx";
import { ErrorNote } from "./error-note.tsx";
import { announce } from "./live.tsx";

/** So many problems are shown; a repository may have thousands. */
const maxShownProblems = 20;

/** Scans a repository, and tells what came of it. @param onScanned when there may be more to see */
export function ScanButton({ id, name, onScanned }: { id: string; name: string; onScanned: () => void }) {
  const busy = useSignal(false);
  const result = useSignal<ScanResult | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);

  async function scan(): Promise<void> {
    busy.value = true;
    error.value = undefined;
    result.value = undefined;
    try {
      result.value = await scanRepository(id);
      announce(catalog.sites.scanned(result.value.registered.length, result.value.already_known));
      onScanned();
    } catch (thrown) {
      error.value = asApiError(thrown);
    } finally {
      busy.value = false;
    }
  }

  return (
    <div class="scan">
      <BusyButton busy={busy.value} label={catalog.sites.scanLabel(name)} onClick={() => void scan()}>{busy.value ? catalog.sites.scanning : catalog.sites.scan}</BusyButton>
      {result.value === undefined ? null : <ScanSummary result={result.value} />}
      {error.value === undefined ? null : <ErrorNote error={error.value} />}
    </div>
  );
}

function ScanSummary({ result: { registered, already_known, problems, truncated } }: { result: ScanResult }) {
  return (
    <div class="note">
      <p>{catalog.sites.scanned(registered.length, already_known)}</p>
      {truncated ? <p>{catalog.sites.scanTruncated}</p> : null}
      {problems.length === 0 ? null : (
        <>
          <p>{catalog.sites.scanProblems(problems.length)}</p>
          <ul class="problems">
            {problems.slice(0, maxShownProblems).map((problem) => (
              <li key={`${problem.qcow2_path} ${problem.code}`}><code>{problem.qcow2_path}</code> {problem.detail} <span class="quiet">({problem.code})</span></li>
            ))}
            {problems.length > maxShownProblems ? <li>{catalog.sites.moreProblems(problems.length - maxShownProblems)}</li> : null}
          </ul>
        </>
      )}
    </div>
  );
}
