import type { ByteString } from "../../filesystems/byte-string.ts";
import type { WalkEntry, WalkItem } from "../../reader/disk-reader.ts";
import { PluckError } from "../../../shared/errors.ts";
import { formatGuestPath } from "../../../shared/guest-path.ts";
import { batchBytes, ByteBatch } from "./byte-batch.ts";
import { ownFile, type ArchiveEncoder, type EncoderFactory, type Refusal } from "./encoder.ts";
import { EntryNames } from "./entry-names.ts";

export interface ArchiveRequest {
  readonly walk: AsyncIterable<WalkItem>;
  /** The walked folder's own name; undefined for "/", whose volumes stand at the archive's top. */
  readonly rootName: ByteString | undefined;
  /** Entries may come without the folders above them. */
  readonly hasGaps?: boolean;
  /**
   * "fail": an entry that can't be read ends the archive without its trailer. "report": an entry known to
   * be unreadable before any of its bytes was sent is left out and named in PLUCK-ERRORS.txt.
   */
  readonly onError: "fail" | "report";
  /** The bytes of a file of the walk, for formats that store each hard link as a file of its own. */
  readonly readFile: (path: readonly ByteString[], sizeBytes: number) => AsyncIterable<Uint8Array>;
}

export const errorReportName = "PLUCK-ERRORS.txt";
/** Lines of the report held in memory; beyond that they are only counted. */
const maxReportedErrors = 100_000;
const zeros = Buffer.alloc(batchBytes);

/**
 * The archive's bytes, from the first entry on as they are read. Throws where a byte is missing: then
 * the archive has no trailer, and whoever sends it must break the connection.
 */
export async function* writeArchive(request: ArchiveRequest, createEncoder: EncoderFactory): AsyncGenerator<Uint8Array, void, undefined> {
  const batch = new ByteBatch();
  const encoder = createEncoder(batch);
  const report = new ErrorReport();
  const names = new EntryNames(encoder.nameRule, request.rootName, request.hasGaps);
  let open: OpenEntry | undefined;
  let isFirst = true;
  // A nested generator costs several turns of the event loop even when it yields nothing, so there is
  // one only where much may come out between two items: the zeros of a sparse file, a hard link's bytes.
  try {
    for await (const item of request.walk) {
      if (item.kind === "data") {
        if (open === undefined) throw new Error("walk gave data without an entry");
        if (open.fillsHoles) yield* open.fillThenAccept(item.bytes, batch);
        else {
          const accepted = open.accept(item.bytes);
          if (accepted !== undefined) await accepted;
        }
      } else {
        if (open?.fillsHoles === true) yield* open.fillToEnd(batch);
        const finished = open?.finish();
        if (finished !== undefined) await finished;
        open = undefined;
        const name = names.name(item.path, item.type === "directory");
        const linkName = item.hardLinkOf !== undefined && encoder.storesHardLinks ? names.nameOf(item.hardLinkOf) : undefined;
        if (name === "") continue;
        const entry = { name, node: item, ...(linkName === undefined ? {} : { linkName }) };
        const refusal = refusalOf(item) ?? report.refusalOfLink(item) ?? encoder.refusal(entry);
        if (refusal !== undefined) {
          if (refusal.isError && request.onError === "fail") throw refusalError(item.path, refusal);
          report.add(item.path, refusal);
          continue;
        }
        if (item.hardLinkOf !== undefined && linkName === undefined) {
          yield* copyAgain(request, encoder, batch, entry.name, item, item.hardLinkOf);
        } else {
          open = new OpenEntry(encoder, item, linkName === undefined);
          encoder.begin(entry, open.outputBytes);
        }
      }
      if (isFirst) batch.flush();
      isFirst = false;
      for (let chunk = batch.take(); chunk !== undefined; chunk = batch.take()) yield chunk;
    }
    if (open?.fillsHoles === true) yield* open.fillToEnd(batch);
    await open?.finish();
    if (request.onError === "report" && !report.isEmpty) {
      const text = report.toBytes();
      const node = ownFile({ seconds: Math.floor(Date.now() / 1000), nanoseconds: 0, digits: 0 }, text.length);
      encoder.begin({ name: names.ownName(errorReportName), node }, text.length);
      await encoder.data(text);
      await encoder.finishEntry();
    }
    encoder.end();
    batch.flush();
    yield* ready(batch);
  } finally {
    encoder.destroy();
  }
}

function refusalError(path: readonly ByteString[], { code, detail }: Refusal): PluckError {
  return new PluckError(code, `${formatGuestPath(path)}: ${detail}`);
}

function* ready(batch: ByteBatch): Generator<Uint8Array, void, undefined> {
  for (let chunk = batch.take(); chunk !== undefined; chunk = batch.take()) yield chunk;
}

function refusalOf(node: WalkEntry): Refusal | undefined {
  return node.error === undefined ? undefined : { ...node.error, isError: true };
}

/** The bytes of a file of which an earlier name was stored already. */
async function* copyAgain(
  request: ArchiveRequest,
  encoder: ArchiveEncoder,
  batch: ByteBatch,
  name: ByteString,
  node: WalkEntry,
  hardLinkOf: readonly ByteString[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const sizeBytes = node.type === "file" ? Number(node.size) : 0;
  encoder.begin({ name, node }, sizeBytes);
  if (sizeBytes > 0) {
    for await (const bytes of request.readFile(hardLinkOf, sizeBytes)) {
      await encoder.data(bytes);
      yield* ready(batch);
    }
  }
  await encoder.finishEntry();
}

/** An entry whose data items are coming: counts them, and puts a sparse file's zeros in where the format wants them. */
class OpenEntry {
  readonly #encoder: ArchiveEncoder;
  readonly #node: WalkEntry;
  /** The parts of a sparse file that data items carry, in order; undefined when its zeros are not stored or it has none. */
  readonly #ranges: WalkEntry["dataRanges"];
  /** Bytes of data items to come. */
  readonly #expected: number;
  readonly #sizeBytes: number;
  #received = 0;
  #position = 0;
  #rangeIndex = 0;

  constructor(encoder: ArchiveEncoder, node: WalkEntry, hasData: boolean) {
    this.#encoder = encoder;
    this.#node = node;
    this.#expected = hasData ? node.dataLength : 0;
    const fillHoles = node.type === "file" && hasData && node.dataRanges !== undefined && !encoder.storesSparse;
    this.#sizeBytes = fillHoles ? Number(node.size) : this.#expected;
    this.#ranges = fillHoles ? node.dataRanges : undefined;
  }

  /** Bytes that the encoder will be given. */
  get outputBytes(): number {
    return this.#sizeBytes;
  }

  /** True when zeros stand between the data items. */
  get fillsHoles(): boolean {
    return this.#ranges !== undefined;
  }

  accept(bytes: Uint8Array): Promise<void> | undefined {
    this.#received += bytes.length;
    if (this.#received > this.#expected) throw this.#lengthError();
    return this.#encoder.data(bytes);
  }

  finish(): Promise<void> | undefined {
    if (this.#received !== this.#expected) throw this.#lengthError();
    return this.#encoder.finishEntry();
  }

  async *fillThenAccept(bytes: Uint8Array, batch: ByteBatch): AsyncGenerator<Uint8Array, void, undefined> {
    for (let start = 0; start < bytes.length; ) {
      const range = this.#ranges?.[this.#rangeIndex];
      if (range === undefined) throw this.#lengthError();
      yield* this.#zerosUpTo(range.offset, batch);
      const length = Math.min(bytes.length - start, range.offset + range.length - this.#position);
      if (length > 0) await this.accept(bytes.subarray(start, start + length));
      start += length;
      this.#position += length;
      if (this.#position === range.offset + range.length) this.#rangeIndex++;
    }
  }

  async *fillToEnd(batch: ByteBatch): AsyncGenerator<Uint8Array, void, undefined> {
    yield* this.#zerosUpTo(this.#sizeBytes, batch);
  }

  async *#zerosUpTo(offset: number, batch: ByteBatch): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#position < offset) {
      const length = Math.min(zeros.length, offset - this.#position);
      await this.#encoder.data(zeros.subarray(0, length));
      this.#position += length;
      yield* ready(batch);
    }
  }

  #lengthError(): Error {
    return new Error(`walk gave ${this.#received} bytes of ${formatGuestPath(this.#node.path)}, announced ${this.#node.dataLength}`);
  }
}

/** What was left out, a line each: the path as it can be asked for, and why. */
class ErrorReport {
  readonly #lines: string[] = [];
  readonly #leftOut = new Set<string>();
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  add(path: readonly ByteString[], { code, detail }: Refusal): void {
    this.#count++;
    this.#leftOut.add(path.join("/"));
    if (this.#lines.length < maxReportedErrors) this.#lines.push(`${oneLine(formatGuestPath(path))}\t${code}\t${oneLine(detail)}`);
  }

  /** A further name of a file that was left out can't be stored as a link to it. */
  refusalOfLink({ hardLinkOf }: WalkEntry): Refusal | undefined {
    if (hardLinkOf === undefined || !this.#leftOut.has(hardLinkOf.join("/"))) return undefined;
    return { code: "corrupt", detail: `a hard link of ${formatGuestPath(hardLinkOf)}, which can't be read`, isError: true };
  }

  toBytes(): Buffer {
    const rest = this.#count - this.#lines.length;
    const lines = ["These entries are not in this archive: path, error code, reason.", "", ...this.#lines];
    if (rest > 0) lines.push(`and ${rest} more`);
    return Buffer.from(`${lines.join("\n")}\n`, "utf8");
  }
}

function oneLine(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, (character) => encodeURIComponent(character));
}
