import { DiskError } from "../blocks/disk-error.ts";
import type { FileSystem } from "../filesystems/filesystem.ts";
import { type Chunk, ContentPlan, type DecodedExtent, type Part } from "./content-plan.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import type { ReadBudget } from "./read-budget.ts";
import { toReaderError } from "./reader-error.ts";

/** Reads under way at most, however small they are. */
const maxChunksAhead = 16;

export interface ContentRange {
  readonly fileSystem: Pick<FileSystem, "extents">;
  readonly node: unknown;
  readonly offset: number;
  readonly length: number;
  /** For messages: "/p2/etc/hosts". */
  readonly path: string;
}

/**
 * The bytes of a range of a file, in order, several reads ahead of whoever takes them. Each chunk has
 * a buffer of its own. Ends all reads when it is returned early; throws a PluckError when a byte can't
 * be read.
 */
export async function* readContent(range: ContentRange, budget: ReadBudget, signal?: AbortSignal, pool?: ChunkPool): AsyncGenerator<Uint8Array, void, void> {
  const ended = new AbortController();
  const reads = signal === undefined ? ended.signal : AbortSignal.any([ended.signal, signal]);
  const plan = new ContentPlan(range.fileSystem, range.node, range.offset, range.length);
  const decoder = new Decoder();
  const ahead: { readonly length: number; readonly bytes: Promise<Uint8Array> }[] = [];
  let aheadBytes = 0;
  let planned = false;
  const endTransfer = budget.begin();
  try {
    for (;;) {
      while (!planned && ahead.length < maxChunksAhead && (ahead.length === 0 || aheadBytes < budget.windowBytes)) {
        const next = plan.next(budget.chunkBytes);
        const chunk = next instanceof Promise ? await next : next;
        if (chunk === undefined) {
          planned = true;
          break;
        }
        const bytes = readChunk(chunk, decoder, reads, pool);
        // Whoever takes the chunks meets the failure in its turn.
        bytes.catch(() => undefined);
        ahead.push({ length: chunk.length, bytes });
        aheadBytes += chunk.length;
      }
      const first = ahead.shift();
      if (first === undefined) return;
      const bytes = await first.bytes;
      aheadBytes -= first.length;
      yield bytes;
    }
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw toReaderError(error, `file ${range.path}`);
  } finally {
    endTransfer();
    ended.abort();
  }
}

/** The same as a stream of the default type. Nothing is read before the first pull. */
export function contentStream(open: (signal: AbortSignal) => AsyncGenerator<Uint8Array, void, void>): ReadableStream<Uint8Array> {
  const cancelled = new AbortController();
  const chunks = open(cancelled.signal);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // An error thrown here errors the stream.
        const { value, done } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel(reason) {
        cancelled.abort(reason);
        // The generator may stand in the middle of a read; it ends when that has been aborted.
        chunks.return().catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

async function readChunk(chunk: Chunk, decoder: Decoder, signal: AbortSignal, pool: ChunkPool | undefined): Promise<Uint8Array> {
  const target = emptyChunk(chunk, pool);
  const [only] = chunk.parts;
  if (only?.kind === "source" && chunk.parts.length === 1) {
    await only.source.readInto(only.sourceOffset, only.length === target.length ? target : target.subarray(only.at, only.at + only.length), signal);
    return target;
  }
  await Promise.all(chunk.parts.map((part) => readPart(part, target, decoder, signal)));
  return target;
}

/** Zeroed only where a part leaves room; never out of a pool, so that it can be transferred. */
function emptyChunk(chunk: Chunk, pool: ChunkPool | undefined): Uint8Array {
  let covered = 0;
  for (const part of chunk.parts) covered += part.kind === "bytes" ? part.bytes.length : part.length;
  if (covered !== chunk.length) return pool?.take(chunk.length).fill(0) ?? new Uint8Array(chunk.length);
  return pool?.take(chunk.length) ?? Buffer.allocUnsafeSlow(chunk.length);
}

async function readPart(part: Part, target: Uint8Array, decoder: Decoder, signal: AbortSignal): Promise<void> {
  switch (part.kind) {
    case "bytes":
      target.set(part.bytes, part.at);
      return;
    case "source":
      return part.source.readInto(part.sourceOffset, target.subarray(part.at, part.at + part.length), signal);
    case "decoded": {
      const bytes = await decoder.read(part.extent, signal);
      if (bytes.length < part.skip + part.length) {
        throw new DiskError("corrupt", `an extent decoded to ${bytes.length} bytes, expected ${part.extent.length}`);
      }
      target.set(bytes.subarray(part.skip, part.skip + part.length), part.at);
    }
  }
}

/** Decodes an extent that reaches over several chunks only once. */
class Decoder {
  #extent: DecodedExtent | undefined;
  #bytes: Promise<Uint8Array> | undefined;

  read(extent: DecodedExtent, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#bytes === undefined || this.#extent !== extent) {
      this.#extent = extent;
      this.#bytes = extent.read(signal);
    }
    return this.#bytes;
  }
}
