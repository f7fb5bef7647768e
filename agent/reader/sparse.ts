import { corrupt } from "../blocks/disk-error.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";

/** Shorter holes are sent as the zeros they are: a range costs more than it saves. */
const minHoleBytes = 64 * 1024;
/** Ranges told apart in one file; what follows is sent whole, its holes as zeros. */
const maxRanges = 8192;
/** Pieces of the map looked at; what follows is sent whole. */
const maxMapSteps = 1_000_000;
const mapAheadBytes = 2 ** 40;

export interface DataRange {
  readonly offset: number;
  length: number;
}

/** The parts of a file that hold data; undefined for a file without holes worth telling. Reads the whole map of the file. */
export async function findDataRanges(fileSystem: FileSystem, node: unknown, size: number): Promise<DataRange[] | undefined> {
  const ranges: DataRange[] = [];
  let position = 0;
  let steps = 0;
  /** Start of what is data so far, not yet in `ranges`. */
  let dataStart = 0;
  while (position < size) {
    const found = fileSystem.extents(node, position, Math.min(size - position, mapAheadBytes));
    const extents = found instanceof Promise ? await found : found;
    const before = position;
    for (const extent of extents) {
      steps += 1;
      const end = Math.min(extent.offset + extent.length, size);
      if (extent.kind === "hole" && end - position >= minHoleBytes) {
        if (dataStart < position) ranges.push({ offset: dataStart, length: position - dataStart });
        dataStart = end;
      }
      position = Math.max(position, end);
    }
    if (position === before) throw corrupt("file map", undefined, `nothing covers byte ${position} of the file`);
    if (ranges.length >= maxRanges || steps >= maxMapSteps) break;
  }
  if (ranges.length === 0 && dataStart === 0) return undefined;
  if (dataStart < size) ranges.push({ offset: dataStart, length: size - dataStart });
  return ranges;
}
