import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { link, lstat, open, rename, rm, type FileHandle } from "node:fs/promises";
import { Failure } from "../output/failure.ts";
import { codeOf, toNameFailure, type OutputFolder } from "./output-folder.ts";
import { SparseWriter } from "./sparse-writer.ts";

/**
 * A file that is being downloaded: `.NAME.pluck-part`, and beside it `.NAME.pluck-part.etag` with the
 * ETag of the version whose bytes it holds. The order makes an end at any moment harmless: a new part
 * begins empty, then the ETag is written, then bytes. Bytes of another version always begin a new file.
 */
export class PartFile {
  readonly #folder: OutputFolder;
  readonly #name: Buffer;
  readonly #partName: Buffer;
  #handle: FileHandle | undefined;
  #writer: SparseWriter | undefined;
  #etag: string | undefined;

  private constructor(folder: OutputFolder, name: Buffer) {
    this.#folder = folder;
    this.#name = name;
    this.#partName = partName(name);
  }

  /** Finds what an earlier run left. */
  static async open(folder: OutputFolder, name: Buffer): Promise<PartFile> {
    const part = new PartFile(folder, name);
    await part.#resume();
    return part;
  }

  /** Bytes that are there; of the version `etag`. */
  get lengthBytes(): number {
    return this.#writer?.lengthBytes ?? 0;
  }

  get etag(): string | undefined {
    return this.#etag;
  }

  /** Begins anew, for a version; without one it can't be resumed. */
  async restart(etag?: string): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    await rm(this.#folder.at(this.#partName), { force: true });
    this.#handle = await this.#create(this.#partName);
    this.#writer = new SparseWriter(this.#handle, 0);
    await rm(this.#folder.at(this.#etagName()), { force: true });
    this.#etag = etag;
    if (etag === undefined) return;
    const note = await this.#create(this.#etagName());
    try {
      await note.writeFile(etag);
    } finally {
      await note.close();
    }
  }

  /** The bytes after those that are there. */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#open().writer.append(bytes);
  }

  /** Goes back to the first so many bytes. */
  async rewind(lengthBytes: number): Promise<void> {
    const { handle, writer } = this.#open();
    await writer.flush();
    await handle.truncate(lengthBytes);
    this.#writer = new SparseWriter(handle, lengthBytes);
  }

  /** What came so far is on the disk, to be resumed. */
  async flush(): Promise<void> {
    await this.#writer?.flush();
  }

  /** SHA-256 of what is there, read back. */
  async sha256(): Promise<string> {
    await this.flush();
    return await sha256Of(this.#open().handle);
  }

  /**
   * Gives the whole file its attributes and its name.
   * @param options.force over what has the name; `onReplace` may still throw
   * @returns its identity
   */
  async finish({ setAttributes, onReplace, force }: FinishOptions): Promise<FileIdentity> {
    const { handle } = this.#open();
    await this.flush();
    await setAttributes(handle);
    const from = this.#folder.at(this.#partName);
    const to = this.#folder.at(this.#name);
    const own = await handle.stat();
    const named = await lstat(from).catch(() => undefined);
    if (named?.ino !== own.ino || named.dev !== own.dev) throw new Failure("write_failed", `Another pluck writes ${this.#folder.describe(this.#name)} at the same time.`, "Wait until it is done.");
    const found = await lstat(to).catch(() => undefined);
    if (found !== undefined) onReplace(found);
    if (force) await rename(from, to);
    else await linkAndRemove(from, to, this.#folder.describe(this.#name));
    await rm(this.#folder.at(this.#etagName()), { force: true });
    return own;
  }

  /** Removes what was downloaded. */
  async discard(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    this.#writer = undefined;
    await rm(this.#folder.at(this.#partName), { force: true });
    await rm(this.#folder.at(this.#etagName()), { force: true });
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  #open(): { handle: FileHandle; writer: SparseWriter } {
    if (this.#handle === undefined || this.#writer === undefined) throw new Error("the partial file is not open");
    return { handle: this.#handle, writer: this.#writer };
  }

  #etagName(): Buffer {
    return Buffer.concat([this.#partName, Buffer.from(".etag")]);
  }

  async #resume(): Promise<void> {
    const etag = await this.#readEtag();
    if (etag === undefined) return;
    const handle = await openPlain(this.#folder.at(this.#partName), constants.O_RDWR);
    if (handle === undefined) return;
    this.#handle = handle;
    this.#writer = new SparseWriter(handle, (await handle.stat()).size);
    this.#etag = etag;
  }

  async #readEtag(): Promise<string | undefined> {
    const handle = await openPlain(this.#folder.at(this.#etagName()), constants.O_RDONLY);
    if (handle === undefined) return undefined;
    try {
      if ((await handle.stat()).size > maxEtagLength) return undefined;
      const text = await handle.readFile("utf8");
      return /^"[\x21\x23-\x7e]+"$/.test(text) ? text : undefined;
    } finally {
      await handle.close();
    }
  }

  async #create(name: Buffer): Promise<FileHandle> {
    try {
      return await open(this.#folder.at(name), constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    } catch (error) {
      throw toNameFailure(error, this.#folder.describe(this.#name));
    }
  }
}

export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

export interface FinishOptions {
  readonly setAttributes: (handle: FileHandle) => Promise<void>;
  readonly onReplace: (found: FileIdentity) => void;
  readonly force: boolean;
}

const maxEtagLength = 256;
/** Of Linux's filesystems. */
const maxNameBytes = 255;
const partSuffix = ".pluck-part";
const longestSuffix = `${partSuffix}.etag`;

/** `.NAME.pluck-part`; of a name too long for that its beginning and a hash. */
export function partName(name: Buffer): Buffer {
  const whole = Buffer.concat([Buffer.from("."), name, Buffer.from(partSuffix)]);
  if (name.length + 1 + longestSuffix.length <= maxNameBytes) return whole;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 16);
  return Buffer.concat([Buffer.from("."), name.subarray(0, 200), Buffer.from(`~${hash}${partSuffix}`)]);
}

/** A plain file that is there; nothing is waited for, no symlink followed. */
async function openPlain(path: Buffer, flags: number): Promise<FileHandle | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // ENXIO: a pipe or socket. What is no plain file is removed when the part begins anew.
    if (["ENOENT", "ELOOP", "ENXIO", "EISDIR"].includes(codeOf(error) ?? "")) return undefined;
    throw error;
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  return undefined;
}

/** What link says on a filesystem without hard links, such as FAT. */
export const withoutHardLinks: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** rename, but never over something: link fails where the name is taken. */
async function linkAndRemove(from: Buffer, to: Buffer, shown: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const code = codeOf(error) ?? "";
    if (code === "EEXIST") throw exists(shown);
    if (!withoutHardLinks.has(code)) throw error;
    if ((await lstat(to).catch(() => undefined)) !== undefined) throw exists(shown);
    await rename(from, to);
    return;
  }
  await rm(from);
}

export function exists(shown: string): Failure {
  return new Failure("file_exists", `${shown} is there already, and differs.`);
}

const hashChunkBytes = 1024 * 1024;

export async function sha256Of(handle: FileHandle): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(hashChunkBytes);
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
