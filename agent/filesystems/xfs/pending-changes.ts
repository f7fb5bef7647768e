import type { DiskError } from "../../blocks/disk-error.ts";
import type { RemappedRun } from "./block-runs.ts";
import type { Exchange } from "./log/exchange.ts";
import type { AttributeChange } from "./xattr.ts";

/** What the log announced but did not get to: Linux finishes it when it mounts, the reader shows it as finished. By inode. */
export interface PendingChanges {
  readonly remapped: Map<number, RemappedRun[]>;
  readonly attributes: Map<number, AttributeChange[]>;
  /** Files whose blocks were being exchanged; `finishExchanges` turns them into mappings. */
  readonly exchanges: Exchange[];
  /** Why contents are not known. */
  readonly contentErrors: Map<number, DiskError>;
}

export function noPendingChanges(): PendingChanges {
  return { remapped: new Map(), attributes: new Map(), exchanges: [], contentErrors: new Map() };
}
