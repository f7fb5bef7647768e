/**
 * The header of a qcow2 file: what decides which other files belong to it, and whether it can be read.
 *
 * Source: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt. Big endian.
 *
 * | Offset | Size | Field                   | Meaning
 * |      0 |    4 | magic                   | "QFI\xfb"
 * |      4 |    4 | version                 | 2 or 3
 * |      8 |    8 | backing_file_offset     | where the backing file's name lies; 0: there is none
 * |     16 |    4 | backing_file_size       | length of that name, at most 1023
 * |     20 |    4 | cluster_bits            | a cluster has 2^this bytes; 9 to 21
 * |     24 |    8 | size                    | the disk's size in bytes
 * |     32 |    4 | crypt_method            | 0 none, 1 AES, 2 LUKS
 * |     36 |    4 | l1_size                 | entries of the L1 table
 * |     40 |    8 | l1_table_offset         |
 * |     48 |    8 | refcount_table_offset   |
 * |     56 |    4 | refcount_table_clusters |
 * |     60 |    4 | nb_snapshots            | internal snapshots (not read here)
 * |     64 |    8 | snapshots_offset        |
 * From version 3 on (version 2 ends here, with refcount_order 4):
 * |     72 |    8 | incompatible_features   | bit 0 dirty, 1 corrupt, 2 external data file, 3 compression type, 4 extended L2
 * |     80 |    8 | compatible_features     |
 * |     88 |    8 | autoclear_features      |
 * |     96 |    4 | refcount_order          | a refcount has 2^this bits; 0 to 6
 * |    100 |    4 | header_length           | at least 104, a multiple of 8
 * |    104 |    1 | compression_type        | 0 zlib, 1 zstd; where header_length covers it
 *
 * Extensions follow the header (at 72 or header_length), inside the first cluster, up to type 0:
 * |      0 |    4 | type                    | 0xe2792aca backing format, 0x44415441 external data file, ...
 * |      4 |    4 | length                  | of the data, which is padded to a multiple of 8
 */
import { corrupt, unsupported } from "../blocks/disk-error.ts";

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBytes: number;
  /** The disk's size. */
  readonly virtualSizeBytes: number;
  /** The backing file's name, byte for byte; undefined when there is none. */
  readonly backingFile: Uint8Array | undefined;
  /** What the header says the backing file's format is; undefined when it says nothing. */
  readonly backingFormat: string | undefined;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly refcountBits: number;
  /** The image was not closed cleanly by a writer that puts off refcounts; its data is whole. */
  readonly isDirty: boolean;
  readonly compression: "zlib" | "zstd";
  readonly hasExtendedL2: boolean;
}

export const QCOW2_MAGIC = 0x514649fb;
const HEADER_BYTES_V2 = 72;
const HEADER_BYTES_V3 = 104;
const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 21;
/** The header, its extensions and the backing file's name all lie in the first cluster. */
export const MAX_HEADER_BYTES = 1 << MAX_CLUSTER_BITS;
const MAX_BACKING_NAME_BYTES = 1023;

const EXTENSION_END = 0;
const EXTENSION_BACKING_FORMAT = 0xe2792aca;
const EXTENSION_EXTERNAL_DATA_FILE = 0x44415441;
/** Known types are below ten; a bound keeps a hostile cluster of empty extensions short. */
const MAX_EXTENSIONS = 64;

const INCOMPATIBLE_DIRTY = 1n << 0n;
const INCOMPATIBLE_CORRUPT = 1n << 1n;
const INCOMPATIBLE_EXTERNAL_DATA_FILE = 1n << 2n;
const INCOMPATIBLE_COMPRESSION_TYPE = 1n << 3n;
const INCOMPATIBLE_EXTENDED_L2 = 1n << 4n;
const INCOMPATIBLE_KNOWN =
  INCOMPATIBLE_DIRTY |
  INCOMPATIBLE_CORRUPT |
  INCOMPATIBLE_EXTERNAL_DATA_FILE |
  INCOMPATIBLE_COMPRESSION_TYPE |
  INCOMPATIBLE_EXTENDED_L2;

const STRUCTURE = "qcow2 header";

export function isQcow2(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0) === QCOW2_MAGIC;
}

/**
 * @param bytes the file from its start: its first cluster, or all of a shorter file (MAX_HEADER_BYTES always do)
 * @throws DiskError "corrupt" or "unsupported"
 */
export function parseQcow2Header(bytes: Uint8Array): Qcow2Header {
  if (!isQcow2(bytes)) {
    const start = Buffer.from(bytes.subarray(0, 4)).toString("hex");
    throw corrupt(STRUCTURE, 0, `starts with ${start === "" ? "nothing" : `0x${start}`}, expected 0x514649fb ("QFI\\xfb")`);
  }
  assertHolds(bytes, HEADER_BYTES_V2);
  const view = viewOf(bytes);
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw unsupported(`qcow2 version ${version}`);
  const cryptMethod = view.getUint32(32);
  if (cryptMethod !== 0) throw unsupported(`qcow2 encryption (${["", "AES", "LUKS"][cryptMethod] ?? `method ${cryptMethod}`})`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS) {
    throw corrupt(STRUCTURE, 20, `cluster_bits ${clusterBits}, expected ${MIN_CLUSTER_BITS} to ${MAX_CLUSTER_BITS}`);
  }
  const clusterBytes = 1 << clusterBits;
  const cluster = bytes.subarray(0, clusterBytes);

  const features = version === 3 ? parseVersion3(cluster) : VERSION_2_FEATURES;
  const backingFormat = parseExtensions(cluster, features.headerBytes);
  return {
    version,
    clusterBytes,
    virtualSizeBytes: narrow(view.getBigUint64(24), 24, "size"),
    backingFile: parseBackingFile(cluster, view),
    backingFormat,
    refcountTableOffset: narrow(view.getBigUint64(48), 48, "refcount_table_offset"),
    refcountTableClusters: view.getUint32(56),
    refcountBits: features.refcountBits,
    isDirty: features.isDirty,
    compression: features.compression,
    hasExtendedL2: features.hasExtendedL2,
  };
}

interface Features {
  readonly headerBytes: number;
  readonly refcountBits: number;
  readonly isDirty: boolean;
  readonly compression: "zlib" | "zstd";
  readonly hasExtendedL2: boolean;
}

const VERSION_2_FEATURES: Features = {
  headerBytes: HEADER_BYTES_V2,
  refcountBits: 16,
  isDirty: false,
  compression: "zlib",
  hasExtendedL2: false,
};

function parseVersion3(cluster: Uint8Array): Features {
  assertHolds(cluster, HEADER_BYTES_V3);
  const view = viewOf(cluster);
  const incompatible = view.getBigUint64(72);
  const unknown = incompatible & ~INCOMPATIBLE_KNOWN;
  if (unknown !== 0n) throw unsupported(`qcow2 incompatible feature 0x${unknown.toString(16)}`);
  if ((incompatible & INCOMPATIBLE_EXTERNAL_DATA_FILE) !== 0n) throw unsupported("qcow2 external data file");
  if ((incompatible & INCOMPATIBLE_CORRUPT) !== 0n) {
    throw corrupt(STRUCTURE, 72, 'QEMU has marked the image corrupt; "qemu-img check -r all" on a copy may repair it');
  }
  const refcountOrder = view.getUint32(96);
  if (refcountOrder > 6) throw corrupt(STRUCTURE, 96, `refcount_order ${refcountOrder}, expected 0 to 6`);
  const headerBytes = view.getUint32(100);
  if (headerBytes < HEADER_BYTES_V3 || headerBytes % 8 !== 0 || headerBytes > cluster.length) {
    throw corrupt(STRUCTURE, 100, `header_length ${headerBytes}, expected a multiple of 8 from 104 to ${cluster.length}`);
  }
  return {
    headerBytes,
    refcountBits: 1 << refcountOrder,
    isDirty: (incompatible & INCOMPATIBLE_DIRTY) !== 0n,
    compression: parseCompression(headerBytes > 104 ? view.getUint8(104) : 0),
    hasExtendedL2: (incompatible & INCOMPATIBLE_EXTENDED_L2) !== 0n,
  };
}

function parseCompression(type: number): "zlib" | "zstd" {
  if (type === 0) return "zlib";
  if (type === 1) return "zstd";
  throw unsupported(`qcow2 compression type ${type}`);
}

/** @returns the backing file's format, where an extension states it */
function parseExtensions(cluster: Uint8Array, start: number): string | undefined {
  const view = viewOf(cluster);
  let backingFormat: string | undefined;
  let at = start;
  for (let count = 0; at + 8 <= cluster.length; count += 1) {
    if (count === MAX_EXTENSIONS) throw corrupt(STRUCTURE, at, `more than ${MAX_EXTENSIONS} extensions`);
    const type = view.getUint32(at);
    if (type === EXTENSION_END) break;
    const length = view.getUint32(at + 4);
    if (length > cluster.length - at - 8) {
      throw corrupt(STRUCTURE, at, `extension 0x${type.toString(16)} of ${length} bytes leaves the first cluster`);
    }
    if (type === EXTENSION_EXTERNAL_DATA_FILE) throw unsupported("qcow2 external data file");
    if (type === EXTENSION_BACKING_FORMAT) {
      backingFormat = Buffer.from(cluster.subarray(at + 8, at + 8 + length)).toString("latin1");
    }
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return backingFormat;
}

function parseBackingFile(cluster: Uint8Array, view: DataView): Uint8Array | undefined {
  const offset = view.getBigUint64(8);
  const length = view.getUint32(16);
  if (offset === 0n) return undefined;
  if (length === 0 || length > MAX_BACKING_NAME_BYTES || offset + BigInt(length) > BigInt(cluster.length)) {
    throw corrupt(STRUCTURE, 8, `backing file name of ${length} bytes at ${offset}, expected 1 to 1023 bytes inside the first cluster`);
  }
  const name = cluster.slice(Number(offset), Number(offset) + length);
  if (name.includes(0)) throw corrupt(STRUCTURE, Number(offset), "the backing file name holds a zero byte");
  return name;
}

function narrow(value: bigint, offset: number, field: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(STRUCTURE, offset, `${field} ${value}, expected less than 2^53`);
  return Number(value);
}

function assertHolds(bytes: Uint8Array, least: number): void {
  if (bytes.length < least) throw corrupt(STRUCTURE, bytes.length, `the file ends here, expected at least ${least} bytes`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
