import type { FileHandle } from "node:fs/promises";
import { constants } from "node:fs";
import { open, readlink, realpath } from "node:fs/promises";
import { resolve } from "node:path";
import { DiskError } from "../blocks/disk-error.ts";
import { PluckError } from "../../shared/errors.ts";
import { assertNotCutShort } from "./qcow2-end.ts";
import { type FileState, isSettled, TIME_STEP_MS, toFileState } from "./file-state.ts";
import type { Qcow2Header } from "./qcow2-header.ts";
import { isQcow2, MAX_HEADER_BYTES, parseQcow2Header } from "./qcow2-header.ts";

/**
 * Files one disk may consist of. A year of daily increments is not far beyond; each costs a file
 * descriptor here and two in qemu-nbd.
 */
export const MAX_CHAIN_FILES = 256;

export interface ChainFile {
  /** Relative to the repository's root; bytes that are not UTF-8 show as U+FFFD. */
  readonly path: string;
  readonly format: "qcow2" | "raw";
  readonly fileBytes: number;
  /** Undefined for a raw file. */
  readonly header: Qcow2Header | undefined;
}

/** A disk's files, from the one that was asked for down to the base. */
export interface BackingChain {
  readonly files: readonly ChainFile[];
  /** The disk's size. */
  readonly virtualSizeBytes: number;
}

/** A chain whose files are open, each checked through the very descriptor that is kept. */
export interface OpenChain extends BackingChain {
  /** One a file, in the same order; read-only. */
  readonly handles: readonly FileHandle[];
  /** Each file's name when it was opened, after all symlinks. */
  readonly realPaths: readonly Buffer[];
  /** Each file's state before anything was read of it. */
  readonly states: readonly FileState[];
  /** False when a file is being written all the time: later writes might leave no trace in its state. */
  readonly isSettled: boolean;
  close(): Promise<void>;
}

export interface ChainLocation {
  readonly repositoryRoot: string;
  /** Of the qcow2 file, relative to the root. */
  readonly path: string;
}

/**
 * Follows a qcow2 file's backing chain and holds it inside the repository: every file is a regular one
 * whose real path, after all symlinks, lies below the root.
 *
 * @throws PluckError qcow2_missing (names the file), chain_outside_repository, unsupported, corrupt, io_error
 */
export async function readBackingChain(location: ChainLocation): Promise<BackingChain> {
  const { files, virtualSizeBytes, close } = await openBackingChain(location);
  await close();
  return { files, virtualSizeBytes };
}

/** As readBackingChain, but keeps the files open. */
export async function openBackingChain({ repositoryRoot, path }: ChainLocation): Promise<OpenChain> {
  if (path.includes("\0")) throw new PluckError("invalid_request", "the path holds a zero byte");
  const root = await toRoot(repositoryRoot);
  const files: ChainFile[] = [];
  const handles: FileHandle[] = [];
  const realPaths: Buffer[] = [];
  const states: FileState[] = [];
  let isSettledChain = true;
  const close = async () => void (await Promise.all(handles.map((handle) => handle.close())));
  const seen = new Set<string>();
  try {
    let next: BytePath | undefined = resolveFrom(root.given, toBytePath(path));
    let statedFormat: string | undefined = "qcow2";
    while (next !== undefined) {
      if (files.length === MAX_CHAIN_FILES) {
        throw new PluckError("unsupported", `a backing chain of more than ${MAX_CHAIN_FILES} files`);
      }
      const { handle, state, real, ...opened } = await openInside(root, next);
      handles.push(handle);
      realPaths.push(toBuffer(real));
      states.push(state);
      if (!opened.isSettled) isSettledChain = false;
      const identity = `${state.device}:${state.inode}`;
      const name = toName(root, real);
      if (seen.has(identity)) throw new PluckError("corrupt", `the backing chain comes back to ${name}: it has no end`);
      seen.add(identity);
      const file: ChainFile = await inFile(name, () => inspect(handle, name, statedFormat));
      files.push(file);
      // A relative name counts from where its file was found, before symlinks, as in QEMU.
      next = file.header?.backingFile === undefined ? undefined : resolveBacking(next, file.header.backingFile, name);
      statedFormat = file.header?.backingFormat;
    }
  } catch (error) {
    await close();
    throw error;
  }
  const virtualSizeBytes = files[0]?.header?.virtualSizeBytes ?? 0;
  return { files, virtualSizeBytes, handles, realPaths, states, isSettled: isSettledChain, close };
}

/**
 * A path as one character a byte (Latin-1): names on disk are bytes, and Node's path strings would
 * lose those that are not UTF-8.
 */
type BytePath = string & { readonly bytePath: true };

const toBytePath = (path: string) => Buffer.from(path, "utf8").toString("latin1") as BytePath;
const toBuffer = (path: BytePath) => Buffer.from(path, "latin1");

interface Root {
  /** As configured, which backing file names may spell out. */
  readonly given: BytePath;
  readonly real: BytePath;
}

async function toRoot(repositoryRoot: string): Promise<Root> {
  try {
    const real = (await realpath(repositoryRoot, { encoding: "latin1" })) as BytePath;
    return { given: toBytePath(resolve(repositoryRoot)), real };
  } catch (error) {
    throw new PluckError("io_error", `the repository's folder can't be reached: ${codeOf(error)}`, { cause: error });
  }
}

function isInside(root: BytePath, path: BytePath): boolean {
  return path.startsWith(root === "/" ? root : `${root}/`);
}

/** For people: relative to the root, or just the last part of what lies outside. */
function toName(root: Root, path: BytePath): string {
  const base = [root.real, root.given].find((folder) => isInside(folder, path));
  const name = base === undefined ? path : path.slice(base === "/" ? 1 : base.length + 1);
  return Buffer.from(name, "latin1").toString("utf8");
}

/** Joins without touching "..": what that means is the file system's to say, symlinks and all. */
function resolveFrom(folder: BytePath, path: BytePath): BytePath {
  return (path.startsWith("/") ? path : `${folder}/${path}`) as BytePath;
}

function resolveBacking(namedIn: BytePath, backingFile: Uint8Array, name: string): BytePath {
  const backing = Buffer.from(backingFile).toString("latin1") as BytePath;
  // QEMU takes "word:" at the start for a protocol (json:, nbd:, http:, file: ...).
  if (/^[^/:]*:/.test(backing)) {
    const shown = JSON.stringify(Buffer.from(backingFile).toString("utf8").slice(0, 100));
    throw new PluckError("chain_outside_repository", `${name} names ${shown} as its backing file: not a path of a file`);
  }
  return resolveFrom(namedIn.slice(0, namedIn.lastIndexOf("/")) as BytePath, backing);
}

/** Opens a regular file inside the root. What is checked is what was opened, not what a path said before. */
async function openInside(root: Root, path: BytePath) {
  const name = toName(root, path);
  const real = await toRealPath(root, path);
  if (!isInside(root.real, real)) throw outside(name);
  let handle: FileHandle | undefined;
  try {
    // No waiting for a FIFO's writer, and no symlink that took the file's place in the meantime.
    handle = await open(toBuffer(real), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const opened = (await readlink(`/proc/self/fd/${handle.fd}`, { encoding: "latin1" })) as BytePath;
    if (!isInside(root.real, opened)) throw outside(name);
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) throw new PluckError("chain_outside_repository", `${name} is not a regular file`);
    return { handle, real, ...(await readSettledState(handle)) };
  } catch (error) {
    await handle?.close();
    throw error instanceof PluckError ? error : toFileError(error, name);
  }
}

/** Tries before a file counts as one that is written all the time. */
const SETTLE_TRIES = 4;

/** The state of a file; one that was just written to gets the moment after which a further write must show. */
async function readSettledState(handle: FileHandle): Promise<{ state: FileState; isSettled: boolean }> {
  for (let attempt = 1; ; attempt += 1) {
    const state = toFileState(await handle.stat({ bigint: true }));
    if (isSettled(state, Date.now())) return { state, isSettled: true };
    if (attempt === SETTLE_TRIES) return { state, isSettled: false };
    await new Promise((resolve) => setTimeout(resolve, TIME_STEP_MS + 1));
  }
}

async function toRealPath(root: Root, path: BytePath): Promise<BytePath> {
  try {
    return (await realpath(toBuffer(path), { encoding: "latin1" })) as BytePath;
  } catch (error) {
    const name = toName(root, path);
    // Whether a file exists outside the repository is nothing this may tell.
    const spelled = normalize(path);
    if (!isInside(root.given, spelled) && !isInside(root.real, spelled)) throw outside(name);
    throw toFileError(error, name);
  }
}

/** Resolves "." and ".." by spelling alone. */
function normalize(path: BytePath): BytePath {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}` as BytePath;
}

function outside(name: string): PluckError {
  return new PluckError("chain_outside_repository", `${name} lies outside the repository`);
}

function toFileError(error: unknown, name: string): PluckError {
  const code = codeOf(error);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new PluckError("qcow2_missing", `${name} is not there`, { cause: error, extra: { file: name } });
  }
  if (code === "ELOOP" || code === "ENAMETOOLONG") {
    return new PluckError("corrupt", `${name} can't be resolved: ${code}`, { cause: error });
  }
  return new PluckError("io_error", `${name} can't be opened: ${code}`, { cause: error });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

/** Names the file in what a parser says about its bytes. */
async function inFile<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DiskError) throw new PluckError(error.code, `${name}: ${error.message}`, { cause: error });
    throw error instanceof PluckError ? error : toFileError(error, name);
  }
}

/** @param statedFormat what the file above says it is; a guess by content is made for qcow2 only, never for raw */
async function inspect(handle: FileHandle, path: string, statedFormat: string | undefined): Promise<ChainFile> {
  const fileBytes = (await handle.stat()).size;
  if (statedFormat === "raw") return { path, format: "raw", fileBytes, header: undefined };
  if (statedFormat !== undefined && statedFormat !== "qcow2") {
    throw new PluckError("unsupported", `${path}: backing file of format ${JSON.stringify(statedFormat)}`);
  }
  const read = (offset: number, length: number) => readFrom(handle, offset, Math.min(length, fileBytes - offset));
  // The first cluster is longer than this only where clusters are; most headers need no second read.
  let start = await read(0, USUAL_CLUSTER_BYTES);
  if (statedFormat === undefined && !isQcow2(start)) {
    throw new PluckError("unsupported", `${path}: backing file of unstated format that is not qcow2`);
  }
  if (start.length === USUAL_CLUSTER_BYTES && (start[23] ?? 0) > USUAL_CLUSTER_BITS) start = await read(0, MAX_HEADER_BYTES);
  const header = parseQcow2Header(start);
  await assertNotCutShort(header, fileBytes, read);
  return { path, format: "qcow2", fileBytes, header };
}

const USUAL_CLUSTER_BITS = 16;
const USUAL_CLUSTER_BYTES = 1 << USUAL_CLUSTER_BITS;

async function readFrom(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(Math.max(0, length));
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled);
    // The file has just become shorter.
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
