// LUKS2 (LUKS2 On-Disk Format Specification 1.1.3): two copies of a binary header of 4096 bytes with a JSON area behind
// it, all numbers big-endian, texts NUL-padded. The newer valid copy counts.
//
//   Offset | Size | Field      | Meaning
//   0      | 6    | magic      | "LUKS" ba be in the first copy, "SKUL" ba be in the second
//   6      | 2    | version    | 2
//   8      | 8    | hdr_size   | of this header with its JSON area: 16 KiB to 4 MiB, a power of two
//   16     | 8    | seqid      | goes up by one at each change
//   24     | 48   | label      | text
//   72     | 32   | csum_alg   | "sha256"
//   104    | 64   | salt       | makes each copy's checksum another
//   168    | 40   | uuid       | text
//   208    | 48   | subsystem  | text
//   256    | 8    | hdr_offset | of this copy: 0, or hdr_size for the second
//   448    | 64   | csum       | over header and JSON area with these bytes zero
//   4096   |      | JSON area  | text, NUL-padded to hdr_size
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, DiskError, toDiskError } from "../../blocks/disk-error.ts";
import { hashOf, hashSize } from "./hash.ts";
import { fieldText, identityText } from "./text.ts";

const FIRST_MAGIC = Buffer.from("LUKS\xba\xbe", "latin1");
const SECOND_MAGIC = Buffer.from("SKUL\xba\xbe", "latin1");
export const BINARY_HEADER_BYTES = 4096;
const CHECKSUM_OFFSET = 448;
const CHECKSUM_BYTES = 64;
/** The sizes that the specification allows, which are also the places of the second copy. */
export const luks2HeaderSizes: readonly number[] = [14, 15, 16, 17, 18, 19, 20, 21, 22].map((power) => 2 ** power);

export interface Luks2Copy {
  readonly offsetBytes: number;
  readonly headerBytes: number;
  readonly sequence: bigint;
  readonly uuid: string | undefined;
  readonly label: string | undefined;
  /** The JSON text. */
  readonly metadata: string;
}

/** Which copy of a LUKS header begins here, and in which version; undefined for neither. */
export function luksMagic(bytes: Uint8Array): { readonly copy: "first" | "second"; readonly version: number } | undefined {
  if (bytes.length < 8) return undefined;
  const copy = FIRST_MAGIC.equals(bytes.subarray(0, 6)) ? "first" : SECOND_MAGIC.equals(bytes.subarray(0, 6)) ? "second" : undefined;
  return copy === undefined ? undefined : { copy, version: bytes[6]! * 256 + bytes[7]! };
}

/** UUID and label as they stand, also in a header that is damaged elsewhere. */
export function parseLuks2Identity(bytes: Uint8Array): { readonly uuid: string | undefined; readonly label: string | undefined } {
  return { uuid: identityText(bytes, 168, 40), label: identityText(bytes, 24, 48) };
}

/** The newer valid copy. @throws DiskError what is wrong with the first copy when neither is valid */
export async function readLuks2Copy(source: BlockSource): Promise<Luks2Copy> {
  let first: Luks2Copy | undefined;
  let problem: DiskError | undefined;
  try {
    first = await readCopy(source, 0, "first");
  } catch (error) {
    problem = toDiskError(error);
    if (problem.code === "io_error") throw problem;
  }
  // A damaged first copy may not tell where the second one is.
  const places = first === undefined ? luks2HeaderSizes : [first.headerBytes];
  for (const offset of places) {
    const second = await trySecondCopy(source, offset);
    if (second !== undefined) return first === undefined || second.sequence > first.sequence ? second : first;
  }
  if (first !== undefined) return first;
  throw problem ?? corrupt("LUKS2 header", 0, "no valid copy");
}

async function trySecondCopy(source: BlockSource, offset: number): Promise<Luks2Copy | undefined> {
  if (offset + BINARY_HEADER_BYTES > source.sizeBytes) return undefined;
  try {
    return await readCopy(source, offset, "second");
  } catch (error) {
    const known = toDiskError(error);
    if (known.code === "io_error") throw known;
    return undefined;
  }
}

async function readCopy(source: BlockSource, offset: number, copy: "first" | "second"): Promise<Luks2Copy> {
  const name = `LUKS2 ${copy} header`;
  if (source.sizeBytes < offset + BINARY_HEADER_BYTES) throw corrupt(name, offset, `the volume ends at byte ${source.sizeBytes}`);
  const head = await source.read(offset, BINARY_HEADER_BYTES);
  const magic = luksMagic(head);
  if (magic?.copy !== copy || magic.version !== 2) throw corrupt(name, offset, "no magic of LUKS version 2");
  const view = new DataView(head.buffer, head.byteOffset, BINARY_HEADER_BYTES);
  const headerBytes = Number(view.getBigUint64(8));
  if (!luks2HeaderSizes.includes(headerBytes)) throw corrupt(name, offset + 8, `a size of ${headerBytes} bytes, expected a power of two from 16 KiB to 4 MiB`);
  if (copy === "second" && headerBytes !== offset) throw corrupt(name, offset + 8, `a size of ${headerBytes} bytes, expected ${offset}, its own place`);
  const ownOffset = view.getBigUint64(256);
  if (ownOffset !== BigInt(offset)) throw corrupt(name, offset + 256, `says it lies at byte ${ownOffset}, expected ${offset}`);
  if (offset + headerBytes > source.sizeBytes) throw corrupt(name, offset + 8, `ends at byte ${offset + headerBytes}, but the volume has ${source.sizeBytes}`);
  const bytes = new Uint8Array(headerBytes);
  await source.readInto(offset, bytes);
  const algorithm = fieldText(bytes, 72, 32).toLowerCase();
  const stored = Buffer.from(bytes.subarray(CHECKSUM_OFFSET, CHECKSUM_OFFSET + hashSize(algorithm)));
  bytes.fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + CHECKSUM_BYTES);
  const computed = hashOf(algorithm, bytes);
  if (!stored.equals(computed)) {
    throw corrupt(name, offset + CHECKSUM_OFFSET, `checksum ${stored.toString("hex").slice(0, 16)}…, expected ${computed.toString("hex").slice(0, 16)}…`);
  }
  const area = Buffer.from(bytes.buffer, BINARY_HEADER_BYTES);
  const end = area.indexOf(0);
  const metadata = area.toString("utf8", 0, end < 0 ? area.length : end);
  return { offsetBytes: offset, headerBytes, sequence: view.getBigUint64(16), ...parseLuks2Identity(bytes), metadata };
}
