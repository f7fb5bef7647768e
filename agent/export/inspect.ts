import type { ChainLocation } from "./backing-chain.ts";
import { readBackingChain } from "./backing-chain.ts";

/** What the catalog keeps of a backup's file. */
export interface Qcow2Facts {
  /** The disk's size. */
  readonly virtualSizeBytes: number;
  /** The files, from the one asked for down to the base, relative to the repository's root. */
  readonly chain: readonly string[];
  /** What the files take up together. */
  readonly fileBytes: number;
}

/** @throws PluckError as readBackingChain does */
export async function inspectQcow2(location: ChainLocation): Promise<Qcow2Facts> {
  const { files, virtualSizeBytes } = await readBackingChain(location);
  return {
    virtualSizeBytes,
    chain: files.map((file) => file.path),
    fileBytes: files.reduce((sum, file) => sum + file.fileBytes, 0),
  };
}
