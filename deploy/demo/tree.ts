import { linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Who owns an entry inside the guest and when it was last changed. */
export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since 1970; the fraction of a microsecond that disks also store is made from the name. */
  readonly modifiedAtMs: number;
}

export type Content =
  | { readonly kind: "file"; readonly bytes: Uint8Array | string; /** Grows the file with a hole up to this size. */ readonly sizeBytes?: number }
  | { readonly kind: "directory" }
  | { readonly kind: "symlink"; readonly target: string }
  | { readonly kind: "hardlink"; readonly to: string }
  /** Made inside the image: an ordinary user can't make one on the host. */
  | { readonly kind: "device"; readonly type: "c" | "b"; readonly major: number; readonly minor: number }
  | { readonly kind: "fifo" };

export interface TreeEntry extends Attributes {
  /** From the filesystem's root, as bytes: not every name is UTF-8. */
  readonly path: Buffer;
  readonly content: Content;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

export interface EntryOptions extends Partial<Attributes> {
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
  /** See Content. */
  readonly sizeBytes?: number;
}

/**
 * A guest's files before they are an image: what they hold and who owns them. Contents are written
 * out to a folder of ordinary files for `mke2fs -d`; owners, modes, times and extended attributes,
 * which an ordinary user can't give on the host, are set inside the image afterwards.
 */
export class Tree {
  readonly #entries = new Map<string, TreeEntry>();
  readonly #defaults: Attributes;

  constructor(defaults: { readonly modifiedAtMs: number; readonly uid?: number; readonly gid?: number }) {
    this.#defaults = { mode: 0o644, uid: 0, gid: 0, ...defaults };
  }

  /** In the order of making: a folder before what it holds. */
  get entries(): TreeEntry[] {
    return [...this.#entries.values()];
  }

  file(path: string | Buffer, bytes: Uint8Array | string, options: EntryOptions = {}): void {
    const { sizeBytes } = options;
    this.#add(path, { kind: "file", bytes, ...(sizeBytes === undefined ? {} : { sizeBytes }) }, { mode: 0o644, ...options });
  }

  directory(path: string, options: EntryOptions = {}): void {
    this.#add(path, { kind: "directory" }, { mode: 0o755, ...options });
  }

  symlink(path: string, target: string, options: EntryOptions = {}): void {
    this.#add(path, { kind: "symlink", target }, { ...options, mode: 0o777 });
  }

  /** A second name of a file; its attributes are the first one's. */
  hardlink(path: string, to: string): void {
    const first = this.#entries.get(to);
    if (first === undefined) throw new RangeError(`no ${to} to link ${path} to`);
    const { mode, uid, gid, modifiedAtMs } = first;
    this.#add(path, { kind: "hardlink", to }, { mode, uid, gid, modifiedAtMs });
  }

  device(path: string, type: "c" | "b", major: number, minor: number, options: EntryOptions = {}): void {
    this.#add(path, { kind: "device", type, major, minor }, { mode: 0o660, ...options });
  }

  fifo(path: string, options: EntryOptions = {}): void {
    this.#add(path, { kind: "fifo" }, { mode: 0o600, ...options });
  }

  #add(path: string | Buffer, content: Content, options: EntryOptions): void {
    const bytes = Buffer.from(path);
    const text = bytes.toString("latin1");
    if (!text.startsWith("/") || /[\n\0]/.test(text)) throw new RangeError(`not a path for the demo: ${JSON.stringify(path)}`);
    const parent = text.slice(0, text.lastIndexOf("/"));
    if (parent !== "" && !this.#entries.has(parent)) this.directory(Buffer.from(parent, "latin1").toString(), inherited(options));
    const { mode, uid, gid, modifiedAtMs } = { ...this.#defaults, ...options };
    this.#entries.set(text, { path: bytes, content, mode, uid, gid, modifiedAtMs, xattrs: new Map(Object.entries(options.xattrs ?? {})) });
  }

  /** Writes the contents below `folder`, which exists; device nodes and fifos are left to the image. */
  writeTo(folder: string): void {
    for (const { path, content } of this.#entries.values()) {
      const target = Buffer.concat([Buffer.from(folder), path]);
      if (content.kind === "directory") mkdirSync(target);
      else if (content.kind === "symlink") symlinkSync(content.target, target);
      else if (content.kind === "hardlink") linkSync(join(folder, content.to), target);
      else if (content.kind === "file") {
        writeFileSync(target, content.bytes);
        if (content.sizeBytes !== undefined) truncateSync(target.toString(), content.sizeBytes);
      }
    }
  }
}

/** What a folder made on the way takes from what it is made for. */
function inherited(options: EntryOptions): EntryOptions {
  const { uid, gid, modifiedAtMs } = options;
  return { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }), ...(modifiedAtMs === undefined ? {} : { modifiedAtMs }) };
}
