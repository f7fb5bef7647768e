import { useEffect } from "preact/hooks";
import { useSignal, type Signal } from "@preact/signals";
import { asApiError, isAbort, type ApiError } from "../../api/problem.ts";
import type { BrowserModel } from "./browser-model.ts";
import { compareFolders } from "./compare.ts";
import type { DiskSession } from "./disk-session.ts";
import { readWholeFolder } from "./folder.ts";

export interface ComparisonState {
  readonly isBusy: boolean;
  /** The folder wasn't there before. */
  readonly isNew: boolean;
  readonly error: ApiError | undefined;
}

const idle: ComparisonState = { isBusy: false, isNew: false, error: undefined };

/** Compares a folder, once all of it is there, with the same folder of another disk, which is opened for it. */
export function useComparison(model: BrowserModel, before: DiskSession | undefined): Signal<ComparisonState> {
  const state = useSignal<ComparisonState>(idle);
  const { folder, rows } = model;
  const isComplete = folder.isComplete.value;
  useEffect(() => {
    state.value = idle;
    if (before === undefined || !isComplete) return undefined;
    let isLate = false;
    state.value = { ...idle, isBusy: true };
    readWholeFolder(before, folder.place.peek() ?? folder.path).then(
      (entries) => {
        if (isLate) return;
        model.replaceComparison(compareFolders(folder.entries, entries ?? []));
        state.value = { ...idle, isNew: entries === undefined };
      },
      (error: unknown) => { if (!isLate && !isAbort(error)) state.value = { ...idle, error: asApiError(error) }; },
    );
    return () => {
      isLate = true;
      if (rows.comparison.peek() !== undefined) model.replaceComparison(undefined);
    };
  }, [model, before, isComplete]);
  return state;
}
