import { PluckError } from "../../shared/errors.ts";
import { formatName, nameCandidates } from "../../shared/guest-path.ts";
import { textToByteString, type ByteString } from "../../agent/filesystems/byte-string.ts";
import type { NodeType, Timestamp } from "../../agent/filesystems/filesystem.ts";
import { toJsonPage } from "../../agent/reader/listing.ts";
import type { DiskReader, ListedNode, NodeError, PathRequest, SelectedNode, WalkEntry, WalkItem } from "../../agent/reader/disk-reader.ts";

/** A node of a made-up disk. Names are byte strings. */
export interface FakeNode {
  readonly name: ByteString;
  readonly type: NodeType;
  readonly bytes?: Uint8Array;
  /** Length of a file whose bytes are made as they are read; see patternByte. */
  readonly patternBytes?: number;
  readonly children?: readonly FakeNode[];
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly modifiedAt?: Timestamp;
  readonly symlinkTarget?: ByteString;
  readonly xattrs?: readonly (readonly [ByteString, Uint8Array])[];
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  readonly hardLinkOf?: readonly ByteString[];
  readonly dataRanges?: readonly { readonly offset: number; readonly length: number }[];
  readonly error?: NodeError;
  /** Reading fails when it comes to this byte. */
  readonly failsAt?: number;
}

export const fakeTime: Timestamp = { seconds: 1_759_947_871, nanoseconds: 123_456_789, digits: 9 };
const chunkBytes = 256 * 1024;

/** The byte at an offset of a patternBytes file: 251 is prime, so that no block repeats the one before. */
export function patternByte(offset: number): number {
  return (offset + Math.floor(offset / 65_536)) % 251;
}

export function patternOf(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index++) bytes[index] = patternByte(offset + index);
  return bytes;
}

export function file(name: string, content: string | Uint8Array, more: Partial<FakeNode> = {}): FakeNode {
  return { name: textToByteString(name), type: "file", bytes: typeof content === "string" ? Buffer.from(content) : content, ...more };
}

export function folder(name: string, children: readonly FakeNode[], more: Partial<FakeNode> = {}): FakeNode {
  return { name: textToByteString(name), type: "directory", children, ...more };
}

export function sizeOf(node: FakeNode): number {
  return node.patternBytes ?? node.bytes?.length ?? 0;
}

/** A DiskReader over nodes at hand, with no regard for links: for what HTTP does with it. */
export class FakeReader implements DiskReader {
  readonly sizeBytes = 1 << 30;
  readonly volumes = [];
  readonly #root: FakeNode;
  /** Streams being read or waiting to be; 0 once everything was finished or cancelled. */
  openReads = 0;
  readBytes = 0;
  /** Waits before each chunk, for tests of cancelling. */
  delayMs = 0;

  constructor(volumes: readonly FakeNode[]) {
    this.#root = { name: "", type: "directory", children: volumes };
  }

  unlock(): Promise<void> {
    return Promise.reject(new PluckError("invalid_request", "Nothing here is encrypted."));
  }

  find(request: PathRequest): { node: FakeNode; path: ByteString[] } {
    // The real reader lives in a worker: what it is asked must be plain data.
    const { segments } = structuredClone(request);
    let node = this.#root;
    const path: ByteString[] = [];
    for (const segment of segments) {
      if (node.type !== "directory") throw new PluckError("not_a_directory", `${segment} is below a file.`);
      const next = node.children?.find((child) => nameCandidates(segment).includes(child.name));
      if (next === undefined) throw new PluckError("path_not_found", `No ${segment}.`);
      node = next;
      path.push(node.name);
    }
    return { node, path };
  }

  async list(request: Parameters<DiskReader["list"]>[0]) {
    const { node, path } = this.find(request);
    if (node.type !== "directory") throw new PluckError("not_a_directory", "Not a folder.");
    const all = (node.children ?? []).map((child) => toListed(child, [...path, child.name]));
    const from = request.cursor === undefined ? 0 : Number(request.cursor);
    const end = from + request.limit;
    return { path, nodes: all.slice(from, end), ...(end < all.length ? { next: String(end) } : {}) };
  }

  async listJson(request: Parameters<DiskReader["listJson"]>[0]) {
    return toJsonPage(await this.list(request));
  }

  async info(request: PathRequest) {
    const { node, path } = this.find(request);
    return { ...toListed(node, path), linkCount: 1, xattrs: node.xattrs ?? [], accessedAt: fakeTime };
  }

  async resolve(request: PathRequest) {
    const { node, path } = this.find(request);
    if (node.error !== undefined) throw new PluckError(node.error.code, node.error.detail);
    if (node.type !== "file" && node.type !== "directory") throw new PluckError("not_a_file", "Not a file.");
    return { path, type: node.type, size: sizeOf(node), modifiedAt: node.modifiedAt ?? fakeTime, etag: `"fake-${path.join("-")}-${sizeOf(node)}"` } as const;
  }

  read(request: PathRequest & { readonly offset: number; readonly length: number }): ReadableStream<Uint8Array> {
    const { node } = this.find(request);
    const end = request.offset + request.length;
    let at = request.offset;
    this.openReads++;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
          const length = Math.min(chunkBytes, end - at);
          if (length > 0) {
            if (node.failsAt !== undefined && at + length > node.failsAt) {
              this.openReads--;
              controller.error(new PluckError("io_error", "SECRET-INSIDE the storage failed"));
              return;
            }
            controller.enqueue(node.bytes === undefined ? patternOf(at, length) : Buffer.from(node.bytes.subarray(at, at + length)));
            this.readBytes += length;
            at += length;
          }
          if (at >= end) {
            this.openReads--;
            controller.close();
          }
        },
        cancel: () => void this.openReads--,
      },
      { highWaterMark: 0 },
    );
  }

  async *walk(request: PathRequest): AsyncGenerator<WalkItem> {
    const { node } = this.find(request);
    yield* this.#walkNode(node, []);
  }

  async select(items: readonly (readonly string[])[]): Promise<SelectedNode[]> {
    return structuredClone(items).map((segments) => {
      const { node, path } = this.find({ segments, withinDepth: segments.length });
      return { path, type: node.type, ...(node.error === undefined ? {} : { error: node.error }) };
    });
  }

  async *walkSelection(paths: readonly (readonly ByteString[])[]): AsyncGenerator<WalkItem> {
    for (const path of structuredClone(paths)) yield* this.#walkNode(this.find({ segments: path.map(formatName), withinDepth: path.length }).node, path);
  }

  async *#walkNode(node: FakeNode, path: readonly ByteString[]): AsyncGenerator<WalkItem> {
    const entry = toWalkEntry(node, path);
    yield entry;
    if (entry.error === undefined && entry.dataLength > 0) {
      for (const range of node.dataRanges ?? [{ offset: 0, length: sizeOf(node) }]) {
        for (let at = range.offset; at < range.offset + range.length; ) {
          const length = Math.min(chunkBytes, range.offset + range.length - at);
          if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
          if (node.failsAt !== undefined && at + length > node.failsAt) throw new PluckError("io_error", "SECRET-INSIDE the storage failed");
          this.readBytes += length;
          yield { kind: "data", bytes: node.bytes === undefined ? patternOf(at, length) : Buffer.from(node.bytes.subarray(at, at + length)) };
          at += length;
        }
      }
    }
    for (const child of node.children ?? []) yield* this.#walkNode(child, [...path, child.name]);
  }
}

const typeBits: Record<NodeType, number> = { file: 0o100000, directory: 0o040000, symlink: 0o120000, other: 0 };

function modeOf(node: FakeNode): number {
  const mode = node.mode ?? (node.type === "directory" ? 0o755 : node.type === "symlink" ? 0o777 : 0o644);
  return mode | typeBits[node.type];
}

function toListed(node: FakeNode, path: ByteString[]): ListedNode {
  return {
    path, type: node.type, size: sizeOf(node), mode: modeOf(node), uid: node.uid ?? 0, gid: node.gid ?? 0,
    modifiedAt: node.modifiedAt ?? fakeTime,
    ...(node.symlinkTarget === undefined ? {} : { symlinkTarget: node.symlinkTarget }),
    ...(node.error === undefined ? {} : { error: node.error }),
  };
}

function toWalkEntry(node: FakeNode, path: readonly ByteString[]): WalkEntry {
  const hasData = node.type === "file" && node.hardLinkOf === undefined && node.error === undefined;
  return {
    kind: "entry", path, type: node.type, size: sizeOf(node), mode: modeOf(node), uid: node.uid ?? 0, gid: node.gid ?? 0,
    modifiedAt: node.modifiedAt ?? fakeTime, deviceMajor: node.deviceMajor ?? 0, deviceMinor: node.deviceMinor ?? 0,
    xattrs: node.xattrs ?? [],
    dataLength: hasData ? (node.dataRanges?.reduce((sum, range) => sum + range.length, 0) ?? sizeOf(node)) : 0,
    ...(node.symlinkTarget === undefined ? {} : { symlinkTarget: node.symlinkTarget }),
    ...(node.hardLinkOf === undefined ? {} : { hardLinkOf: node.hardLinkOf }),
    ...(node.dataRanges === undefined ? {} : { dataRanges: node.dataRanges }),
    ...(node.error === undefined ? {} : { error: node.error }),
  };
}
