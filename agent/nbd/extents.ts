import type { BlockExtent } from "../blocks/block-source.ts";
import type { StatusDescriptor } from "./protocol.ts";
import { STATE_ZERO } from "./protocol.ts";

/**
 * The extents of [offset, offset + length) from a block status that starts at `statusOffset` (at or
 * before `offset`, for alignment). Neighbours of one kind are joined; what lies outside is cut off.
 * Descriptors that all end before `offset` give one data extent: the server then told nothing of use.
 */
export function toExtents(
  descriptors: readonly StatusDescriptor[],
  statusOffset: number,
  offset: number,
  length: number,
): BlockExtent[] {
  const extents: { offset: number; length: number; hole: boolean }[] = [];
  const end = offset + length;
  let start = statusOffset;
  for (const descriptor of descriptors) {
    const stop = start + descriptor.length;
    const from = Math.max(start, offset);
    const to = Math.min(stop, end);
    start = stop;
    if (from >= to) continue;
    const hole = (descriptor.flags & STATE_ZERO) !== 0;
    const last = extents.at(-1);
    if (last?.hole === hole) last.length += to - from;
    else extents.push({ offset: from, length: to - from, hole });
  }
  return extents.length > 0 ? extents : [{ offset, length, hole: false }];
}
