import type { BlockSource, MaybePromise } from "../../blocks/block-source.ts";
import { corrupt, DiskError } from "../../blocks/disk-error.ts";
import type { ByteString } from "../byte-string.ts";
import type { Attributes, Details, FileExtent, FileSystem, FileSystemFacts } from "../filesystem.ts";
import { Contents, describe } from "./contents.ts";
import type { DirectoryReader, IsoEntry, OpenDirectory } from "./directory-reader.ts";
import { DEFAULT_PERMISSIONS, MODE_DIRECTORY, MODE_TYPE, timesOf, type DirectoryNode, type FileNode, type IsoNode } from "./node.ts";

/** ISO 9660 as Linux mounts it by default: Rock Ridge before Joliet before plain names. */
export class IsoFileSystem implements FileSystem<IsoNode> {
  readonly facts: FileSystemFacts;
  readonly root: DirectoryNode;
  readonly #directories: DirectoryReader;
  readonly #contents: Contents;
  readonly #isCaseBlind: boolean;

  constructor(source: BlockSource, facts: FileSystemFacts, root: DirectoryNode, directories: DirectoryReader, isJoliet: boolean) {
    this.facts = facts;
    this.root = root;
    this.#directories = directories;
    this.#contents = new Contents(source);
    this.#isCaseBlind = isJoliet;
  }

  readDirectory(directory: IsoNode): AsyncGenerator<readonly IsoEntry[]> {
    return this.#directories.entries(directory as DirectoryNode);
  }

  /** Exactly; with Joliet then without regard to ASCII case and dots at the end. Throws for a damaged directory rather than say that a name isn't there. */
  async lookup(directory: IsoNode, name: ByteString): Promise<IsoEntry | undefined> {
    let similar: IsoEntry | undefined;
    let damage: DiskError | undefined;
    const folded = this.#isCaseBlind ? fold(name) : name;
    for await (const entries of this.readDirectory(directory)) {
      for (const entry of entries) {
        if (entry.name === name) return entry;
        damage ??= entry.error;
        if (this.#isCaseBlind && similar === undefined && fold(entry.name) === folded) similar = entry;
      }
    }
    if (similar === undefined && damage !== undefined) throw damage;
    return similar;
  }

  async stat(nodes: readonly IsoNode[]): Promise<(Attributes | DiskError)[]> {
    const results = nodes.map((node) => (node.kind === "file" ? fileAttributes(node) : node.kind === "damaged" ? node.error : undefined));
    const wanted = nodes.flatMap((node, index) => (node.kind === "directory" ? [{ node, index }] : []));
    const opened = await this.#directories.open(wanted.map(({ node }) => node));
    wanted.forEach(({ node, index }, position) => (results[index] = directoryAttributes(node, opened[position]!)));
    return results as (Attributes | DiskError)[];
  }

  async details(node: IsoNode): Promise<Details> {
    if (node.kind === "damaged") throw node.error;
    let described: Pick<OpenDirectory, "record" | "rock"> | DiskError = node.kind === "file" ? node : (await this.#directories.open([node]))[0]!;
    if (described instanceof DiskError) throw described;
    const times = timesOf(described.record, described.rock);
    return { accessedAt: times.accessed, changedAt: times.changed, createdAt: times.created, xattrs: new Map() };
  }

  async readLink(node: IsoNode): Promise<ByteString> {
    const file = node as FileNode;
    if (file.rock?.targetError !== undefined) throw file.rock.targetError;
    if (file.rock?.target === undefined || file.rock.target === "") throw corrupt(describe(file), file.id, "a symlink without a target");
    return file.rock.target;
  }

  extents(node: IsoNode, offset: number, length: number): MaybePromise<FileExtent[]> {
    return this.#contents.extents(node as FileNode, offset, length);
  }
}

function fileAttributes(node: FileNode): Attributes {
  const { rock } = node;
  const { modified } = timesOf(node.record, rock);
  return {
    type: node.type,
    id: node.id,
    size: node.sizeBytes,
    mode: node.mode,
    uid: rock?.uid ?? 0,
    gid: rock?.gid ?? 0,
    linkCount: rock?.linkCount ?? 1,
    deviceMajor: rock?.deviceMajor ?? 0,
    deviceMinor: rock?.deviceMinor ?? 0,
    mtimeSeconds: modified.seconds,
    mtimeNanoseconds: modified.nanoseconds,
    mtimeDigits: modified.digits,
    ...(node.contentError === undefined ? {} : { contentError: node.contentError }),
  };
}

function directoryAttributes(node: DirectoryNode, directory: OpenDirectory | DiskError): Attributes | DiskError {
  if (directory instanceof DiskError) return directory;
  const { record, rock, damage } = directory;
  const mode = rock?.mode ?? MODE_DIRECTORY | DEFAULT_PERMISSIONS;
  const wrongType = (mode & MODE_TYPE) === MODE_DIRECTORY ? undefined : corrupt("ISO 9660 directory", node.id, `Rock Ridge gives it the mode 0${mode.toString(8)}`);
  const contentError = damage ?? wrongType;
  const { modified } = timesOf(record, rock);
  return {
    type: "directory",
    id: node.id,
    size: record.sizeBytes,
    mode: MODE_DIRECTORY | (mode & 0o7777),
    uid: rock?.uid ?? 0,
    gid: rock?.gid ?? 0,
    linkCount: rock?.linkCount ?? 1,
    deviceMajor: 0,
    deviceMinor: 0,
    mtimeSeconds: modified.seconds,
    mtimeNanoseconds: modified.nanoseconds,
    mtimeDigits: modified.digits,
    ...(contentError === undefined ? {} : { contentError }),
  };
}

function fold(name: ByteString): ByteString {
  return name.replace(/\.+$/, "").replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
