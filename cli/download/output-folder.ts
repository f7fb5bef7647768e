import { constants } from "node:fs";
import { lstat, mkdir, open, type FileHandle } from "node:fs/promises";
import { escapeBytes } from "../names/escape.ts";
import { Failure } from "../output/failure.ts";

/**
 * The folder that downloads go to, and those below it. Every step down is taken from an open folder
 * (`/proc/self/fd/N/name`, Linux's openat for programs that have none) and never through a symlink: so
 * no name of a guest, and nobody who changes the tree meanwhile, leads a write out of it.
 */
export class OutputFolder {
  readonly #handle: FileHandle;
  /** As shown to people. */
  readonly shown: string;

  private constructor(handle: FileHandle, shown: string) {
    this.#handle = handle;
    this.shown = shown;
  }

  /** The user's own choice: it is made when it is missing, and may be a symlink. */
  static async openTop(path: string): Promise<OutputFolder> {
    await mkdir(path, { recursive: true });
    return new OutputFolder(await open(path, constants.O_RDONLY | constants.O_DIRECTORY), path === "." ? "" : path.replace(/\/+$/, "") || "/");
  }

  /** The folder of this name, made when it is missing. @throws Failure when something else has the name */
  async openSub(name: Buffer): Promise<OutputFolder> {
    assertSafeName(name);
    const path = this.at(name);
    try {
      return await this.#openSub(path, name);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
    try {
      // Nobody else's until it has the mode it had in the guest.
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw toNameFailure(error, this.describe(name));
    }
    return await this.#openSub(path, name);
  }

  async #openSub(path: Buffer, name: Buffer): Promise<OutputFolder> {
    try {
      const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      return new OutputFolder(handle, this.describe(name));
    } catch (error) {
      if (!["ENOTDIR", "ELOOP"].includes(codeOf(error) ?? "")) throw toNameFailure(error, this.describe(name));
      const found = await lstat(path).catch(() => undefined);
      const what = found?.isSymbolicLink() === true ? "a symlink" : "no folder";
      throw new Failure("file_exists", `${this.describe(name)} is ${what}, and in the way of a folder.`, "Choose another folder with -o, or move it away.");
    }
  }

  /** Runs work in a folder below this one, made as far as it is missing. */
  async within<T>(names: readonly Buffer[], work: (folder: OutputFolder) => Promise<T>): Promise<T> {
    const [first, ...rest] = names;
    if (first === undefined) return await work(this);
    const folder = await this.openSub(first);
    try {
      return await folder.within(rest, work);
    } finally {
      await folder.close();
    }
  }

  /** The path of a name in this folder, for calls that don't follow a symlink at their last part. */
  at(name: Buffer): Buffer {
    assertSafeName(name);
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.#handle.fd}/`), name]);
  }

  describe(name: Buffer): string {
    const shown = escapeBytes(name);
    return this.shown === "" ? shown : this.shown.endsWith("/") ? `${this.shown}${shown}` : `${this.shown}/${shown}`;
  }

  get handle(): FileHandle {
    return this.#handle;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

const partSuffixes = [".pluck-part", ".pluck-part.etag"];

/** @throws Failure for a name that can't stand in a folder, or is one of our own */
export function assertSafeName(name: Buffer): void {
  const text = name.toString("latin1");
  if (text === "" || text === "." || text === ".." || text.includes("/") || text.includes("\0")) {
    throw new Failure("unsafe_name", `"${escapeBytes(name)}" is no name for a file.`);
  }
}

/** Names of partial files are ours: a guest's file of such a name would be taken for one. */
export function assertGuestName(name: Buffer): void {
  assertSafeName(name);
  const text = name.toString("latin1");
  if (text.startsWith(".") && partSuffixes.some((suffix) => text.endsWith(suffix))) {
    throw new Failure("unsafe_name", `"${escapeBytes(name)}" is named like a partial file of pluck.`);
  }
}

/** What the filesystem says of a name it can't hold. */
export function toNameFailure(error: unknown, shown: string): unknown {
  if (!["ENAMETOOLONG", "EILSEQ", "EINVAL"].includes(codeOf(error) ?? "")) return error;
  return new Failure("not_representable", `The filesystem here can't hold the name of ${shown}.`, undefined, { cause: error });
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
