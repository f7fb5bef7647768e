import { PluckError } from "../../shared/errors.ts";
import { formatGuestPath } from "../../shared/guest-path.ts";
import type { ByteString } from "../filesystems/byte-string.ts";
import type { Attributes } from "../filesystems/filesystem.ts";
import type { ListedNode } from "./disk-reader.ts";
import { formatMode, toEntryIn } from "./entry.ts";
import { hasOtherNames } from "./node.ts";
import { TimestampFormatter } from "./timestamp.ts";

/** Text is turned into bytes in pieces of about this many characters: joining a whole page as one string costs three times as much. */
const pieceCharacters = 16 * 1024;
/** Room made for an entry before its size is known: names of 30 bytes in folders not too deep. */
const likelyEntryBytes = 224;
/** UTF-8 needs at most so many bytes for one UTF-16 unit. */
const maxBytesPerUnit = 3;
/** 10,000 entries with names of 255 bytes below a path of 4 KiB take 45 MiB; only paths that no system makes take more. */
const maxPageBytes = 64 * 1024 * 1024;
/** ASCII that stands for itself, both in JSON and in a path. */
const plainName = /^[\x20\x21\x23\x24\x26-\x5b\x5d-\x7e]*$/;

/**
 * Writes the entries of a page as JSON, in the thread that read them: a hundred thousand of them as
 * objects would cost more to send to another thread, and to collect there, than to read.
 */
export class EntryEncoder {
  #buffer: Buffer;
  readonly #times = new TimestampFormatter();
  readonly #modes = new Map<number, string>();
  #text = "[";
  /** Bytes of the buffer in use. */
  #length = 0;
  #isFirst = true;
  readonly #folder: readonly ByteString[];
  /** The folder's path with its last "/", as it stands in JSON. */
  readonly #prefix: string;
  /** The folder of the last node, and its path. */
  #lastFolder: readonly ByteString[];
  #lastPath: string;

  /**
   * @param folder the folder of the entries to come, names from the mount's root
   * @param count how many there will be; only a guess of the memory it takes
   */
  constructor(folder: readonly ByteString[], count: number) {
    this.#buffer = Buffer.allocUnsafeSlow(pieceCharacters + count * likelyEntryBytes);
    this.#folder = folder;
    this.#lastFolder = folder;
    this.#lastPath = formatGuestPath(folder);
    this.#prefix = toPrefix(this.#lastPath);
  }

  /** An entry of the constructor's folder with nothing to tell but its attributes: no link, no error. The text is that of `addNode`. */
  addPlain(name: ByteString, attributes: Attributes): void {
    const { type, size, mode, uid, gid, mtimeSeconds, mtimeNanoseconds, mtimeDigits, linkCount } = attributes;
    if (typeof size !== "number" || hasOtherNames(attributes) || !plainName.test(name)) {
      const modifiedAt = { seconds: mtimeSeconds, nanoseconds: mtimeNanoseconds, digits: mtimeDigits };
      this.addNode({ path: [...this.#folder, name], type, size, mode, uid, gid, modifiedAt, linkCount });
      return;
    }
    const time = this.#times.format(mtimeSeconds, mtimeNanoseconds, mtimeDigits);
    this.#add(
      `{"name":"${name}","path":"${this.#prefix}${name}","type":"${type}","size":${size},"mode":"${this.#mode(mode)}",` +
        `"uid":${uid},"gid":${gid},"modified_at":${time === null ? "null" : `"${time}"`}}`,
    );
  }

  addNode(node: ListedNode): void {
    this.#add(JSON.stringify(toEntryIn(this.#parentPath(node.path), node)));
  }

  /** The JSON array, as UTF-8, alone in its buffer so that it can be transferred. */
  finish(): Uint8Array {
    this.#text += "]";
    this.#flush();
    return this.#buffer.subarray(0, this.#length);
  }

  #add(entry: string): void {
    this.#text += this.#isFirst ? entry : `,${entry}`;
    this.#isFirst = false;
    if (this.#text.length > pieceCharacters) this.#flush();
  }

  #flush(): void {
    const neededBytes = this.#length + this.#text.length * maxBytesPerUnit;
    if (neededBytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#length += this.#buffer.write(this.#text, this.#length);
    this.#text = "";
    if (this.#length > maxPageBytes) {
      throw new PluckError("invalid_request", `The page would take more than ${maxPageBytes} bytes: ask for fewer entries with limit=.`);
    }
  }

  #mode(mode: number): string {
    let text = this.#modes.get(mode);
    if (text === undefined) {
      text = formatMode(mode);
      this.#modes.set(mode, text);
    }
    return text;
  }

  #parentPath(path: readonly ByteString[]): string {
    const folder = this.#lastFolder;
    if (path.length !== folder.length + 1 || !folder.every((name, index) => path[index] === name)) {
      this.#lastFolder = path.slice(0, -1);
      this.#lastPath = formatGuestPath(this.#lastFolder);
    }
    return this.#lastPath;
  }
}

function toPrefix(folderPath: string): string {
  const inJson = JSON.stringify(folderPath).slice(1, -1);
  return inJson === "/" ? "/" : `${inJson}/`;
}
