import type { WalkEntry, WalkItem } from "./disk-reader.ts";
import { type PackedNodes, packNodes, type Packing, unpackNodes } from "./pack-nodes.ts";

/** Some items of a walk as they cross between threads: all their bytes in one buffer, which is moved, not copied. */
export interface PackedGroup {
  readonly entries: PackedNodes<Rest>;
  /**
   * The data items: after how many entries of this group each comes, and its length, two numbers an
   * item. Their bytes follow one another.
   */
  readonly data: Float64Array;
  readonly bytes: Uint8Array;
  /** What it counts against the stream's credit. */
  readonly cost: number;
}

type Rest = Partial<Pick<WalkEntry, "symlinkTarget" | "hardLinkOf" | "xattrs" | "dataRanges" | "error" | "xattrError" | "size">>;

/** An entry costs about this much memory on its way. */
const entryCost = 512;
const noXattrs: WalkEntry["xattrs"] = [];

const packing: Packing<WalkEntry, Rest> = {
  extra: ({ dataLength, deviceMajor, deviceMinor }) => [dataLength, deviceMajor, deviceMinor],
  rest: ({ symlinkTarget, hardLinkOf, xattrs, dataRanges, error, xattrError, size }) => {
    const isPlain = symlinkTarget === undefined && hardLinkOf === undefined && xattrs.length === 0 && dataRanges === undefined;
    if (isPlain && error === undefined && xattrError === undefined && typeof size === "number") return undefined;
    return {
      ...(symlinkTarget === undefined ? {} : { symlinkTarget }),
      ...(hardLinkOf === undefined ? {} : { hardLinkOf }),
      ...(xattrs.length === 0 ? {} : { xattrs }),
      ...(dataRanges === undefined ? {} : { dataRanges }),
      ...(error === undefined ? {} : { error }),
      ...(xattrError === undefined ? {} : { xattrError }),
      ...(typeof size === "number" ? {} : { size }),
    };
  },
  restore: (base, [dataLength, deviceMajor, deviceMinor], rest) => ({
    kind: "entry",
    ...base,
    deviceMajor,
    deviceMinor,
    xattrs: noXattrs,
    dataLength,
    ...rest,
  }),
};

export function packGroup(group: readonly WalkItem[]): PackedGroup {
  const entries: WalkEntry[] = [];
  const chunks: Uint8Array[] = [];
  const data: number[] = [];
  let length = 0;
  for (const item of group) {
    if (item.kind === "entry") entries.push(item);
    else {
      chunks.push(item.bytes);
      data.push(entries.length, item.bytes.length);
      length += item.bytes.length;
    }
  }
  const bytes = join(chunks, length);
  return { entries: packNodes(entries, packing), data: new Float64Array(data), bytes, cost: length + entries.length * entryCost };
}

/** A single chunk that has its buffer to itself is moved as it is. */
function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1 && first.byteLength === first.buffer.byteLength) return first;
  const bytes = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}

export function* unpackGroup({ entries, data, bytes }: PackedGroup): Generator<WalkItem, void, void> {
  const unpacked = unpackNodes(entries, packing);
  let given = 0;
  let taken = 0;
  for (let index = 0; index < data.length; index += 2) {
    const entriesBefore = data[index] as number;
    const length = data[index + 1] as number;
    while (given < entriesBefore) yield unpacked[given++] as WalkEntry;
    yield { kind: "data", bytes: bytes.subarray(taken, taken + length) };
    taken += length;
  }
  while (given < unpacked.length) yield unpacked[given++] as WalkEntry;
}
