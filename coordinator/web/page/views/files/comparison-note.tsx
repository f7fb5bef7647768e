import type { Backup } from "../../api/types.ts";
import { ErrorNote } from "../../parts/error-note.tsx";
import { files } from "../../text/files.ts";
import type { Comparison } from "./compare.ts";
import { timeOf } from "./restore-points.tsx";
import type { ComparisonState } from "./use-comparison.ts";

/** What changed in this folder, in numbers. */
export function ComparisonNote({ state, comparison, before }: { state: ComparisonState; comparison: Comparison | undefined; before: Backup | undefined }) {
  if (before === undefined) return <p class="quiet comparison">{files.noEarlier}</p>;
  if (state.error !== undefined) return <ErrorNote error={state.error} />;
  return (
    <p class="comparison" role="status">
      <span class="quiet">{files.comparedWith(timeOf(before))} </span>
      {comparison === undefined ? files.comparing : (
        <>
          {state.isNew ? <span>{files.allNew} </span> : null}
          <span class="good">{files.added(comparison.added)}</span>, <span class="warn">{files.changed(comparison.changed)}</span>, <span class="bad">{files.gone(comparison.gone.length)}</span>
        </>
      )}
    </p>
  );
}
