import { PassThrough } from "node:stream";
import { constants } from "node:zlib";
import { ZipArchiveOutputStream } from "compress-commons";
import { asBuffer, byteStringToBytes } from "../../filesystems/byte-string.ts";
import { batchBytes, type ByteBatch } from "./byte-batch.ts";
import type { ArchiveEncoder, ArchiveEntry, Refusal } from "./encoder.ts";
import { zipName } from "./entry-names.ts";
import { DiskZipEntry, methodDeflated, methodStored } from "./zip-entry.ts";

/*
 * zip by compress-commons, the encoder under zip-stream and archiver; see decisions/0006.
 *
 * A file of up to maxStoredBytes is gathered and stored, its CRC and size in the header before it. A
 * larger one streams: its CRC is known only afterwards, and "stored, length follows" can't be read from a
 * pipe. So it is deflated at level 0, in blocks that mark their own end and are not compressed.
 *
 * What is not kept: owners, fractions of seconds, times outside 1970 to 2038 (clamped to 1980 to 2043).
 * The library holds an object for each entry until the end, about 0.4 KB with a short name, and writes the
 * directory at one go, about 2.5 ms for 1,000 entries.
 */
const maxStoredBytes = 256 * 1024;
const maxNameBytes = 0xffff;
/** What one entry may hold back between the walk and the batch, beside the deflater's own. */
const highWaterMark = 4 * batchBytes;

export class ZipEncoder implements ArchiveEncoder {
  readonly nameRule = zipName;
  readonly storesSparse = false;
  readonly storesHardLinks = false;
  readonly #zip: BatchedZip;
  #entry: OpenEntry | undefined;

  constructor(output: ByteBatch) {
    this.#zip = new BatchedZip(output);
  }

  refusal({ name, node }: ArchiveEntry): Refusal | undefined {
    if (node.type === "other") return { code: "unsupported", detail: "zip stores no device nodes, pipes and sockets", isError: false };
    if (name.length + 1 > maxNameBytes) return { code: "unsupported", detail: `its path has ${name.length} bytes; zip holds ${maxNameBytes}`, isError: true };
    if (node.type === "file" && typeof node.size === "bigint") return { code: "unsupported", detail: `its size of ${node.size} bytes is beyond what a zip can be streamed with`, isError: true };
    return undefined;
  }

  begin(entry: ArchiveEntry, dataBytes: number): void {
    const target = entry.node.type === "symlink" ? byteStringToBytes(entry.node.symlinkTarget ?? "") : undefined;
    const sizeBytes = target?.length ?? dataBytes;
    const zipEntry = new DiskZipEntry(entry);
    if (target === undefined && sizeBytes > maxStoredBytes) {
      this.#entry = new StreamedEntry(this.#zip, zipEntry, sizeBytes);
      return;
    }
    const gathered = new GatheredEntry(this.#zip, zipEntry, sizeBytes);
    if (target !== undefined) gathered.data(target);
    this.#entry = gathered;
  }

  data(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#entry === undefined) throw new Error("zip data without an entry");
    return this.#entry.data(bytes);
  }

  finishEntry(): Promise<void> | undefined {
    const entry = this.#entry;
    this.#entry = undefined;
    if (entry === undefined) throw new Error("zip entry ended twice");
    return entry.finish();
  }

  end(): void {
    this.#zip.finish();
  }

  destroy(): void {
    this.#entry?.destroy();
    this.#zip.destroy();
  }
}

interface OpenEntry {
  data(bytes: Uint8Array): Promise<void> | undefined;
  finish(): Promise<void> | undefined;
  destroy(): void;
}

class GatheredEntry implements OpenEntry {
  readonly #zip: BatchedZip;
  readonly #entry: DiskZipEntry;
  readonly #sizeBytes: number;
  readonly #gathered: Buffer[] = [];

  constructor(zip: BatchedZip, entry: DiskZipEntry, sizeBytes: number) {
    this.#zip = zip;
    this.#entry = entry;
    this.#sizeBytes = sizeBytes;
    entry.setMethod(methodStored);
  }

  data(bytes: Uint8Array): undefined {
    this.#gathered.push(asBuffer(bytes));
  }

  finish(): undefined {
    const [first] = this.#gathered;
    const bytes = first !== undefined && this.#gathered.length === 1 ? first : Buffer.concat(this.#gathered);
    assertAllCame(bytes.length, this.#sizeBytes);
    // A buffer to be stored is written at once: called back before this returns.
    this.#zip.entry(this.#entry, bytes, (error) => {
      if (error !== null) throw error;
    });
  }

  destroy(): void {
    this.#gathered.length = 0;
  }
}

class StreamedEntry implements OpenEntry {
  readonly #source = new PassThrough({ highWaterMark });
  readonly #written: Promise<void>;
  readonly #sizeBytes: number;
  #doneBytes = 0;

  constructor(zip: BatchedZip, entry: DiskZipEntry, sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    entry.setMethod(methodDeflated);
    this.#written = new Promise((resolve, reject) => {
      zip.entry(entry, this.#source, (error) => (error === null ? resolve() : reject(error)));
    });
    // Waited for in finish; a broken-off entry has nobody who waits.
    this.#written.catch(() => undefined);
  }

  data(bytes: Uint8Array): Promise<void> {
    this.#doneBytes += bytes.length;
    return new Promise((resolve, reject) => {
      this.#source.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async finish(): Promise<void> {
    assertAllCame(this.#doneBytes, this.#sizeBytes);
    this.#source.end();
    await this.#written;
  }

  destroy(): void {
    this.#source.destroy(new Error("archive broken off"));
  }
}

function assertAllCame(doneBytes: number, sizeBytes: number): void {
  if (doneBytes !== sizeBytes) throw new Error(`zip entry got ${doneBytes} bytes, announced ${sizeBytes}`);
}

/** Puts what the library writes, down to its many pieces of two bytes, straight into the batch. */
class BatchedZip extends ZipArchiveOutputStream {
  readonly #output: ByteBatch;

  constructor(output: ByteBatch) {
    const options = {
      highWaterMark: 2 * batchBytes,
      zlib: { level: constants.Z_NO_COMPRESSION, chunkSize: batchBytes, highWaterMark: batchBytes },
    };
    super(options);
    this.#output = output;
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#output.write(chunk);
    callback();
  }
}
