import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import type { ByteString } from "../byte-string.ts";
import type { DirectoryEntry } from "../filesystem.ts";
import { gather } from "../gather.ts";
import { NodeCache } from "../node-cache.ts";
import { isParent, isSelf, MAX_RECORD_BYTES, parseDirectoryRecord, type DirectoryRecord } from "./directory-record.ts";
import { jolietName, plainName } from "./iso-name.ts";
import { toFileNode, type DirectoryNode, type IsoNode } from "./node.ts";
import { readRecords } from "./record-stream.ts";
import { RockRidge } from "./rock-ridge.ts";
import { readSystemUse, type SystemUseList } from "./system-use.ts";

export type IsoEntry = DirectoryEntry<IsoNode>;

/** How names and attributes are found. */
export interface Naming {
  readonly blockBytes: number;
  /** Bytes to pass over in each system use area; undefined without Rock Ridge. */
  readonly rockSkipBytes: number | undefined;
  /**
   * False on a volume that doesn't announce Rock Ridge: Linux looks for its entries all the same, and other systems
   * may have left theirs there, so what can't be read there is no damage.
   */
  readonly isRockAnnounced: boolean;
  readonly isJoliet: boolean;
}

/** A directory by its own record. */
export interface OpenDirectory {
  readonly record: DirectoryRecord;
  readonly rock: RockRidge | undefined;
  /** What is wrong with its Rock Ridge entries. */
  readonly damage: DiskError | undefined;
}

/** Directories whose own record is remembered. */
const DIRECTORY_CACHE = 4096;
/** Linux takes 100 sections of up to 4 GiB. */
const MAX_SECTIONS = 1000;

/** Turns the records of directories into entries. */
export class DirectoryReader {
  readonly #source: BlockSource;
  readonly #naming: Naming;
  readonly #directories = new NodeCache<OpenDirectory>(DIRECTORY_CACHE);

  constructor(source: BlockSource, naming: Naming) {
    this.#source = source;
    this.#naming = naming;
  }

  /** The own records of many directories, in the order asked. */
  async open(nodes: readonly DirectoryNode[]): Promise<(OpenDirectory | DiskError)[]> {
    const results = nodes.map((node): OpenDirectory | DiskError | undefined => this.#directories.get(node.id));
    const missing = nodes.flatMap((node, index) => (results[index] === undefined ? [{ node, index }] : []));
    if (missing.length === 0) return results as (OpenDirectory | DiskError)[];
    const { sizeBytes } = this.#source;
    const pieces = missing.map(({ node }) => ({ offset: Math.min(node.id, sizeBytes), length: Math.max(0, Math.min(MAX_RECORD_BYTES, sizeBytes - node.id)) }));
    const found = await gather(this.#source, pieces);
    const lists: { index: number; id: number; record: DirectoryRecord; list: SystemUseList; rock: RockRidge | undefined }[] = [];
    for (const [position, { node, index }] of missing.entries()) {
      const record = found[position] instanceof DiskError ? found[position] : parseSelf(found[position]!, node.id);
      if (record instanceof DiskError) results[index] = record;
      else lists.push({ index, id: node.id, record, ...this.#rockOf(record) });
    }
    await this.#readRock(lists);
    for (const { index, id, record, list, rock } of lists) {
      const damage = this.#damageOf(list, rock);
      if (damage?.code === "io_error") {
        results[index] = damage;
        continue;
      }
      const directory = { record, rock, damage };
      this.#directories.set(id, directory);
      results[index] = directory;
    }
    return results as (OpenDirectory | DiskError)[];
  }

  async *entries(node: DirectoryNode): AsyncGenerator<readonly IsoEntry[]> {
    const [directory] = await this.open([node]);
    if (directory instanceof DiskError) throw directory;
    const { blockBytes } = this.#naming;
    const offset = directory!.record.firstBlock * blockBytes;
    if (offset >= this.#source.sizeBytes) {
      throw corrupt(`ISO 9660 directory at byte ${node.id}`, offset, `its data lies outside the volume of ${this.#source.sizeBytes} bytes`);
    }
    /** Records of one file, until its last. */
    let parts: DirectoryRecord[] = [];
    for await (const batch of readRecords(this.#source, offset, directory!.record.sizeBytes)) {
      const items: (FileRecords | IsoEntry)[] = [];
      for (const found of batch) {
        if ("error" in found) {
          if (parts.length > 0) items.push({ parts, isCut: true });
          parts = [];
          items.push(damagedEntry(`#damaged-directory-at-${found.position}`, found.error));
          continue;
        }
        parts.push(found);
        if (found.isContinued && parts.length < MAX_SECTIONS) continue;
        items.push({ parts, isCut: found.isContinued });
        parts = [];
      }
      const entries = await this.#toEntries(items);
      if (entries.length > 0) yield entries;
    }
    if (parts.length > 0) yield await this.#toEntries([{ parts, isCut: true }]);
  }

  async #toEntries(items: readonly (FileRecords | IsoEntry)[]): Promise<IsoEntry[]> {
    const read = items.map((item) => ("parts" in item ? { item, ...this.#rockOf(item.parts.at(-1)!) } : { item }));
    await this.#readRock(read.filter((one) => "list" in one));
    return read.flatMap((one) => {
      if (!("list" in one)) return [one.item];
      const entry = this.#toEntry(one.item, one.rock, one.list);
      return entry === undefined ? [] : [entry];
    });
  }

  #toEntry({ parts, isCut }: FileRecords, rock: RockRidge | undefined, list: SystemUseList): IsoEntry | undefined {
    const record = parts.at(-1)!;
    if (isSelf(record) || isParent(record) || record.isAssociated || rock?.isRelocated === true) return undefined;
    const cut = isCut ? corrupt("ISO 9660 directory record", record.offsetBytes, "says that another record of the file follows, none does") : undefined;
    const error = this.#damageOf(list, rock) ?? cut;
    const name = this.#nameOf(record, rock, error !== undefined);
    const node = this.#nodeOf(parts, rock);
    const type = node.kind === "damaged" ? undefined : node.kind === "directory" ? "directory" : node.type;
    const known = error ?? (node.kind === "damaged" ? node.error : undefined);
    if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
      const bad = known ?? corrupt("ISO 9660 directory record", record.offsetBytes, `the name ${JSON.stringify(name)}, which no path can hold`);
      const shown = name.replace(/[/\0]/g, "_");
      return { name: /^\.{0,2}$/.test(shown) ? `#damaged-record-at-${record.offsetBytes}` : shown, node, type, error: bad };
    }
    return known === undefined ? { name, node, type } : { name, node, type, error: known };
  }

  #nameOf(record: DirectoryRecord, rock: RockRidge | undefined, isDamaged: boolean): ByteString {
    // A name that may be cut is still better than a made-up one where Rock Ridge is announced.
    if (rock !== undefined && rock.name !== "" && (this.#naming.isRockAnnounced || !isDamaged)) return rock.name;
    return this.#naming.isJoliet ? jolietName(record.name) : plainName(record.name);
  }

  #nodeOf(parts: readonly DirectoryRecord[], rock: RockRidge | undefined): IsoNode {
    const { blockBytes } = this.#naming;
    if (rock?.childBlock !== undefined) return { kind: "directory", id: rock.childBlock * blockBytes };
    if (parts[0]!.isDirectory) return { kind: "directory", id: parts[0]!.firstBlock * blockBytes };
    return toFileNode(parts, rock, blockBytes);
  }

  #rockOf(record: DirectoryRecord): { list: SystemUseList; rock: RockRidge | undefined } {
    const { rockSkipBytes } = this.#naming;
    const rock = rockSkipBytes === undefined ? undefined : new RockRidge();
    const area = record.systemUse.subarray(rockSkipBytes ?? record.systemUse.length);
    return { rock, list: { visit: rock?.visit ?? (() => undefined), area, offsetBytes: record.offsetBytes, damage: undefined } };
  }

  async #readRock(lists: readonly { readonly list: SystemUseList; readonly rock: RockRidge | undefined }[]): Promise<void> {
    await readSystemUse(this.#source, this.#naming.blockBytes, lists.filter(({ rock }) => rock !== undefined).map(({ list }) => list));
  }

  #damageOf(list: SystemUseList, rock: RockRidge | undefined): DiskError | undefined {
    const { damage } = list;
    if (damage !== undefined) return damage.code === "io_error" || this.#naming.isRockAnnounced ? damage : undefined;
    return rock?.isNameTruncated === true ? corrupt("Rock Ridge entry NM", list.offsetBytes, "a name of more than 255 bytes") : undefined;
  }
}

interface FileRecords {
  readonly parts: readonly DirectoryRecord[];
  /** True when the last of them is missing. */
  readonly isCut: boolean;
}

function damagedEntry(name: ByteString, error: DiskError): IsoEntry {
  return { name, node: { kind: "damaged", error }, type: undefined, error };
}

/** The first record of a directory. An empty one would look like an empty directory: it counts as damage. */
function parseSelf(bytes: Uint8Array, offsetBytes: number): DirectoryRecord | DiskError {
  try {
    const length = bytes[0] ?? 0;
    const record = length > bytes.length ? undefined : parseDirectoryRecord(bytes.subarray(0, length), offsetBytes);
    if (record !== undefined && isSelf(record)) return { ...record, name: Uint8Array.of(0), systemUse: Uint8Array.from(record.systemUse) };
    return corrupt("ISO 9660 directory", offsetBytes, "doesn't begin with its own record");
  } catch (error) {
    return toDiskError(error);
  }
}
