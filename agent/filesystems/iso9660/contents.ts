import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt } from "../../blocks/disk-error.ts";
import type { FileExtent } from "../filesystem.ts";
import { NodeCache } from "../node-cache.ts";
import type { FileNode, Section } from "./node.ts";
import type { ZisofsFile } from "./rock-ridge.ts";
import { compressedRange, inflateBlock, pointerRange } from "./zisofs.ts";

/** Compressed blocks given at a time. */
const MAX_DECODED_EXTENTS = 256;
/** Of up to 128 KiB: small reads that follow one another decompress a block once. */
const DECODED_BLOCKS = 16;

/** Where the bytes of files lie. */
export class Contents {
  readonly #source: BlockSource;
  readonly #decoded = new NodeCache<{ readonly node: FileNode; readonly bytes: Uint8Array }>(DECODED_BLOCKS);

  constructor(source: BlockSource) {
    this.#source = source;
  }

  /** As FileSystem.extents. */
  extents(node: FileNode, offset: number, length: number): FileExtent[] | Promise<FileExtent[]> {
    if (node.contentError !== undefined) throw node.contentError;
    const wanted = Math.min(length, node.sizeBytes - offset);
    if (node.zisofs !== undefined) return this.#compressedExtents(node, node.zisofs, offset, wanted);
    return this.#storedExtents(node, offset, wanted);
  }

  #storedExtents(node: FileNode, offset: number, length: number): FileExtent[] {
    const extents: FileExtent[] = [];
    let at = offset;
    for (const run of storedRuns(node.sections, offset, length)) {
      const inSource = Math.min(run.length, this.#source.sizeBytes - run.offset);
      const last = extents.at(-1);
      if (inSource > 0 && last?.kind === "data" && last.sourceOffset + last.length === run.offset) {
        extents[extents.length - 1] = { ...last, length: last.length + inSource };
      } else if (inSource > 0) {
        extents.push({ kind: "data", offset: at, length: inSource, source: this.#source, sourceOffset: run.offset });
      }
      at += run.length;
      if (inSource === run.length) continue;
      // The volume says it is larger than what holds it: a cut-off image or partition.
      if (extents.length === 0) throw corrupt(describe(node), run.offset, `its data leaves the volume's ${this.#source.sizeBytes} bytes`);
      break;
    }
    return extents;
  }

  async #compressedExtents(node: FileNode, zisofs: ZisofsFile, offset: number, length: number): Promise<FileExtent[]> {
    const { blockBytes, headerBytes } = zisofs;
    const first = Math.floor(offset / blockBytes);
    const count = Math.min(MAX_DECODED_EXTENTS, Math.ceil((offset + length) / blockBytes) - first);
    const table = pointerRange(headerBytes, first, count);
    const pointers = await this.#readStored(node, table.offset, table.length);
    const extents: FileExtent[] = [];
    for (let index = 0; index < count; index += 1) {
      const blockStart = (first + index) * blockBytes;
      const start = Math.max(offset, blockStart);
      const end = Math.min(offset + length, blockStart + blockBytes);
      let range: ReturnType<typeof compressedRange>;
      try {
        range = compressedRange(pointers, index, blockBytes, describe(node));
      } catch (error) {
        if (extents.length === 0) throw error;
        return extents;
      }
      if (range === undefined) {
        extents.push({ kind: "hole", offset: start, length: end - start });
        continue;
      }
      const { offset: storedOffset, length: storedLength } = range;
      const read = async (): Promise<Uint8Array> => {
        const bytes = await this.#decode(node, zisofs, blockStart, storedOffset, storedLength);
        return bytes.subarray(start - blockStart, end - blockStart);
      };
      extents.push({ kind: "decoded", offset: start, length: end - start, read });
    }
    return extents;
  }

  async #decode(node: FileNode, zisofs: ZisofsFile, blockStart: number, storedOffset: number, storedLength: number): Promise<Uint8Array> {
    // Blocks of different files may share a stored offset: the key only finds a candidate.
    const key = node.id + storedOffset;
    const known = this.#decoded.get(key);
    if (known?.node === node) return known.bytes;
    const stored = await this.#readStored(node, storedOffset, storedLength);
    const length = Math.min(zisofs.blockBytes, zisofs.sizeBytes - blockStart);
    const bytes = inflateBlock(stored, zisofs.blockBytes, length, describe(node));
    this.#decoded.set(key, { node, bytes });
    return bytes;
  }

  /** Bytes of the file as it is stored. */
  async #readStored(node: FileNode, offset: number, length: number): Promise<Uint8Array> {
    const runs = storedRuns(node.sections, offset, length);
    const found = runs.reduce((sum, run) => sum + run.length, 0);
    if (found < length) throw corrupt(`zisofs ${describe(node)}`, undefined, `${length} bytes are needed from ${offset} on, ${found} are stored`);
    const pieces: Uint8Array[] = [];
    for (const run of runs) pieces.push(await this.#source.read(run.offset, run.length));
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }
}

/** The part of the sections that holds a range of the stored file; shorter where they end. */
function storedRuns(sections: readonly Section[], offset: number, length: number): Section[] {
  const runs: Section[] = [];
  let position = 0;
  for (const section of sections) {
    const start = Math.max(offset, position);
    const end = Math.min(offset + length, position + section.length);
    if (start < end) runs.push({ offset: section.offset + start - position, length: end - start });
    position += section.length;
  }
  return runs;
}

export function describe(node: FileNode): string {
  return `ISO 9660 file with its record at byte ${node.id}`;
}
