/**
 * The NBD protocol as a read-only client needs it: constants, encoders and parsers, all pure.
 *
 * Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md. All integers are big endian.
 *
 * Greeting, server to client
 * | Offset | Size | Field           | Meaning
 * |      0 |    8 | magic           | "NBDMAGIC"
 * |      8 |    8 | magic           | "IHAVEOPT": newstyle; anything else is the oldstyle handshake
 * |     16 |    2 | handshake flags | bit 0: fixed newstyle, bit 1: no zeroes after EXPORT_NAME
 * The client answers with 4 bytes of flags, then options follow.
 *
 * Option request, client to server
 * |      0 |    8 | magic  | "IHAVEOPT"
 * |      8 |    4 | option | which one
 * |     12 |    4 | length | of the data that follows
 *
 * Option reply, server to client
 * |      0 |    8 | magic  | 0x0003e889045565a9
 * |      8 |    4 | option | the one that is answered
 * |     12 |    4 | type   | 1 ack, 2 server, 3 info, 4 meta context; bit 31: error
 * |     16 |    4 | length | of the data that follows
 *
 * Request, client to server
 * |      0 |    4 | magic  | 0x25609513
 * |      4 |    2 | flags  | bit 2: don't fragment
 * |      6 |    2 | type   | 0 read, 2 disconnect, 7 block status
 * |      8 |    8 | cookie | given back in the reply
 * |     16 |    8 | offset | bytes
 * |     24 |    4 | length | bytes
 *
 * Simple reply, server to client (the data of a read follows at once)
 * |      0 |    4 | magic  | 0x67446698
 * |      4 |    4 | error  | 0, or an errno
 * |      8 |    8 | cookie | of the request
 *
 * Structured reply chunk, server to client
 * |      0 |    4 | magic  | 0x668e33ef
 * |      4 |    2 | flags  | bit 0: the last chunk of this reply
 * |      6 |    2 | type   | 0 none, 1 data, 2 hole, 5 block status; bit 15: error
 * |      8 |    8 | cookie | of the request
 * |     16 |    4 | length | of the payload that follows
 *
 * Payloads
 *   data          | offset 8 | the bytes
 *   hole          | offset 8 | length 4
 *   block status  | context id 4 | then pairs: length 4, flags 4
 *   error         | errno 4 | message length 2 | message | (type 32770 only) offset 8
 */

export const GREETING_BYTES = 18;
export const OPTION_REPLY_BYTES = 20;
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
/** What a chunk header has beyond the length of a simple reply. */
export const CHUNK_HEADER_REST_BYTES = 4;

const NBDMAGIC = 0x4e42444d41474943n;
const IHAVEOPT = 0x49484156454f5054n;
const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

export const HANDSHAKE_FIXED_NEWSTYLE = 1 << 0;
export const HANDSHAKE_NO_ZEROES = 1 << 1;

export const OPTION_GO = 7;
export const OPTION_STRUCTURED_REPLY = 8;
export const OPTION_SET_META_CONTEXT = 10;

export const REPLY_ACK = 1;
export const REPLY_INFO = 3;
export const REPLY_META_CONTEXT = 4;
export const REPLY_ERROR_BIT = 0x80000000;

export const INFO_EXPORT = 0;
export const INFO_BLOCK_SIZE = 3;

export const TRANSMISSION_HAS_FLAGS = 1 << 0;
export const TRANSMISSION_SEND_DF = 1 << 7;

export const COMMAND_READ = 0;
export const COMMAND_DISCONNECT = 2;
export const COMMAND_BLOCK_STATUS = 7;
export const COMMAND_FLAG_DF = 1 << 2;

export const CHUNK_FLAG_DONE = 1 << 0;
export const CHUNK_NONE = 0;
export const CHUNK_DATA = 1;
export const CHUNK_HOLE = 2;
export const CHUNK_BLOCK_STATUS = 5;
export const CHUNK_ERROR_BIT = 1 << 15;
export const CHUNK_ERROR_OFFSET = 32770;

export const META_CONTEXT_ALLOCATION = "base:allocation";
/** In base:allocation, bit 1 of a descriptor's flags: the range reads as zeros. */
export const STATE_ZERO = 1 << 1;

/** The protocol's own limit on strings (names, messages). */
export const MAX_STRING_BYTES = 4096;
/** What a client may ask of a server that states no maximum block size. */
export const DEFAULT_MAX_BLOCK_BYTES = 32 * 1024 * 1024;

/** The server broke the protocol: nothing more on this connection can be trusted. */
export class NbdProtocolError extends Error {
  override readonly name = "NbdProtocolError";
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const hex = (value: number | bigint) => `0x${value.toString(16)}`;

function assertLength(bytes: Uint8Array, least: number, what: string): void {
  if (bytes.length < least) throw new NbdProtocolError(`${what} has ${bytes.length} bytes, expected at least ${least}`);
}

/** @returns the handshake flags */
export function parseGreeting(bytes: Uint8Array): number {
  assertLength(bytes, GREETING_BYTES, "greeting");
  const view = viewOf(bytes);
  const magic = view.getBigUint64(0);
  if (magic !== NBDMAGIC) throw new NbdProtocolError(`greeting starts with ${hex(magic)}, expected NBDMAGIC`);
  const style = view.getBigUint64(8);
  if (style !== IHAVEOPT) throw new NbdProtocolError(`greeting goes on with ${hex(style)}, expected IHAVEOPT (newstyle)`);
  const flags = view.getUint16(16);
  if ((flags & HANDSHAKE_FIXED_NEWSTYLE) === 0) {
    throw new NbdProtocolError(`handshake flags ${hex(flags)} lack fixed newstyle`);
  }
  return flags;
}

export function encodeClientFlags(flags: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, flags);
  return bytes;
}

export function encodeOption(option: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(16 + data.length);
  const view = viewOf(bytes);
  view.setBigUint64(0, IHAVEOPT);
  view.setUint32(8, option);
  view.setUint32(12, data.length);
  bytes.set(data, 16);
  return bytes;
}

/** Data of OPTION_GO: the export's name, and which facts about it are wanted. */
export function encodeGo(exportName: string, infos: readonly number[]): Uint8Array {
  const name = Buffer.from(exportName);
  const bytes = new Uint8Array(4 + name.length + 2 + 2 * infos.length);
  const view = viewOf(bytes);
  view.setUint32(0, name.length);
  bytes.set(name, 4);
  view.setUint16(4 + name.length, infos.length);
  infos.forEach((info, index) => view.setUint16(6 + name.length + 2 * index, info));
  return bytes;
}

/** Data of OPTION_SET_META_CONTEXT: the export's name, and one context. */
export function encodeSetMetaContext(exportName: string, context: string): Uint8Array {
  const name = Buffer.from(exportName);
  const query = Buffer.from(context);
  const bytes = new Uint8Array(4 + name.length + 4 + 4 + query.length);
  const view = viewOf(bytes);
  view.setUint32(0, name.length);
  bytes.set(name, 4);
  view.setUint32(4 + name.length, 1);
  view.setUint32(8 + name.length, query.length);
  bytes.set(query, 12 + name.length);
  return bytes;
}

export interface OptionReplyHeader {
  readonly option: number;
  readonly type: number;
  readonly lengthBytes: number;
}

/** Longest option reply a client has to take: a name and a description, with room. */
const MAX_OPTION_REPLY_BYTES = 4 * MAX_STRING_BYTES;

export function parseOptionReplyHeader(bytes: Uint8Array): OptionReplyHeader {
  assertLength(bytes, OPTION_REPLY_BYTES, "option reply");
  const view = viewOf(bytes);
  const magic = view.getBigUint64(0);
  if (magic !== OPTION_REPLY_MAGIC) {
    throw new NbdProtocolError(`option reply starts with ${hex(magic)}, expected ${hex(OPTION_REPLY_MAGIC)}`);
  }
  const lengthBytes = view.getUint32(16);
  if (lengthBytes > MAX_OPTION_REPLY_BYTES) {
    throw new NbdProtocolError(`option reply of ${lengthBytes} bytes, expected at most ${MAX_OPTION_REPLY_BYTES}`);
  }
  return { option: view.getUint32(8), type: view.getUint32(12), lengthBytes };
}

const OPTION_ERRORS: Record<number, string> = {
  1: "unsupported option",
  2: "forbidden by policy",
  3: "invalid option",
  4: "unsupported by platform",
  5: "TLS required",
  6: "unknown export",
  7: "server is shutting down",
  8: "block size information required",
  9: "option too big",
};

/** What an option's error reply says, in words. */
export function toOptionError(type: number, data: Uint8Array): string {
  const code = (type & ~REPLY_ERROR_BIT) >>> 0;
  const message = Buffer.from(data).toString("utf8");
  return `${OPTION_ERRORS[code] ?? `error ${code}`}${message === "" ? "" : `: ${message}`}`;
}

export type ExportInfo =
  | { readonly kind: "export"; readonly sizeBytes: number; readonly flags: number }
  | { readonly kind: "block-size"; readonly minimum: number; readonly preferred: number; readonly maximum: number }
  | { readonly kind: "other" };

/** Data of a REPLY_INFO. */
export function parseInfo(bytes: Uint8Array): ExportInfo {
  assertLength(bytes, 2, "export info");
  const view = viewOf(bytes);
  const type = view.getUint16(0);
  if (type === INFO_EXPORT) {
    assertLength(bytes, 12, "export info");
    const size = view.getBigUint64(2);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new NbdProtocolError(`export of ${size} bytes, expected fewer than 2^53`);
    }
    return { kind: "export", sizeBytes: Number(size), flags: view.getUint16(10) };
  }
  if (type === INFO_BLOCK_SIZE) {
    assertLength(bytes, 14, "block size info");
    const minimum = view.getUint32(2);
    const preferred = view.getUint32(6);
    const maximum = view.getUint32(10);
    // The specification holds the minimum to a power of two of at most 64 KiB, and orders the three.
    const minimumIsPower = minimum > 0 && minimum <= 65_536 && (minimum & (minimum - 1)) === 0;
    if (!minimumIsPower || maximum < minimum || maximum % minimum !== 0 && maximum !== 0xffffffff) {
      throw new NbdProtocolError(`block sizes ${minimum}, ${preferred}, ${maximum} contradict each other`);
    }
    return { kind: "block-size", minimum, preferred, maximum };
  }
  return { kind: "other" };
}

/** Data of a REPLY_META_CONTEXT. */
export function parseMetaContext(bytes: Uint8Array): { readonly id: number; readonly name: string } {
  assertLength(bytes, 4, "meta context");
  return { id: viewOf(bytes).getUint32(0), name: Buffer.from(bytes.subarray(4)).toString("utf8") };
}

export interface RequestFields {
  readonly flags: number;
  readonly type: number;
  readonly cookie: number;
  readonly offset: number;
  readonly length: number;
}

export function encodeRequest({ flags, type, cookie, offset, length }: RequestFields): Uint8Array {
  const bytes = Buffer.allocUnsafe(REQUEST_BYTES);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(type, 6);
  writeSafeInteger(bytes, cookie, 8);
  writeSafeInteger(bytes, offset, 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}

function writeSafeInteger(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  bytes.writeUInt32BE(value % 2 ** 32, offset + 4);
}

/** A 64-bit number of the wire; what is past 2^53 comes out inexact, which no cookie or offset of ours equals. */
function readNumber(view: DataView, offset: number): number {
  return view.getUint32(offset) * 2 ** 32 + view.getUint32(offset + 4);
}

/** The first 16 bytes of any reply: all of a simple one, all but the length of a chunk's header. */
export type ReplyStart =
  | { readonly kind: "simple"; readonly cookie: number; readonly error: number }
  | { readonly kind: "chunk"; readonly cookie: number; readonly type: number; readonly done: boolean };

export function parseReplyStart(bytes: Uint8Array): ReplyStart {
  assertLength(bytes, SIMPLE_REPLY_BYTES, "reply");
  const view = viewOf(bytes);
  const magic = view.getUint32(0);
  const cookie = readNumber(view, 8);
  if (magic === SIMPLE_REPLY_MAGIC) return { kind: "simple", cookie, error: view.getUint32(4) };
  if (magic === CHUNK_MAGIC) {
    return { kind: "chunk", cookie, type: view.getUint16(6), done: (view.getUint16(4) & CHUNK_FLAG_DONE) !== 0 };
  }
  throw new NbdProtocolError(`reply starts with ${hex(magic)}, expected a simple reply or a chunk`);
}

/** The last 4 bytes of a chunk's header: the length of its payload. */
export function parseChunkLength(bytes: Uint8Array): number {
  return viewOf(bytes).getUint32(0);
}

/** The first 8 bytes of a data chunk's payload. */
export function parseChunkOffset(bytes: Uint8Array): number {
  return readNumber(viewOf(bytes), 0);
}

export function parseHole(bytes: Uint8Array): { readonly offset: number; readonly length: number } {
  if (bytes.length !== 12) throw new NbdProtocolError(`hole chunk of ${bytes.length} bytes, expected 12`);
  const view = viewOf(bytes);
  return { offset: readNumber(view, 0), length: view.getUint32(8) };
}

export interface StatusDescriptor {
  readonly length: number;
  readonly flags: number;
}

/** Payload of a block status chunk. */
export function parseBlockStatus(bytes: Uint8Array): { readonly contextId: number; readonly descriptors: StatusDescriptor[] } {
  if (bytes.length < 12 || (bytes.length - 4) % 8 !== 0) {
    throw new NbdProtocolError(`block status chunk of ${bytes.length} bytes, expected 4 and a multiple of 8`);
  }
  const view = viewOf(bytes);
  const descriptors: StatusDescriptor[] = [];
  for (let at = 4; at < bytes.length; at += 8) {
    const descriptor = { length: view.getUint32(at), flags: view.getUint32(at + 4) };
    if (descriptor.length === 0) throw new NbdProtocolError("block status of an empty range");
    descriptors.push(descriptor);
  }
  return { contextId: view.getUint32(0), descriptors };
}

const ERRNO_NAMES: Record<number, string> = {
  1: "EPERM",
  5: "EIO",
  12: "ENOMEM",
  22: "EINVAL",
  28: "ENOSPC",
  75: "EOVERFLOW",
  95: "ENOTSUP",
  108: "ESHUTDOWN",
};

export function toErrnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

/** Payload of an error chunk, in words: "EIO: read failed at byte 512". Unknown error types keep to this form. */
export function parseErrorChunk(type: number, bytes: Uint8Array): string {
  assertLength(bytes, 6, "error chunk");
  const view = viewOf(bytes);
  const messageLength = view.getUint16(4);
  assertLength(bytes, 6 + messageLength, "error chunk");
  const message = Buffer.from(bytes.subarray(6, 6 + messageLength)).toString("utf8");
  let text = toErrnoName(view.getUint32(0));
  if (message !== "") text += `: ${message}`;
  if (type === CHUNK_ERROR_OFFSET) {
    assertLength(bytes, 14 + messageLength, "error chunk with an offset");
    text += ` at byte ${readNumber(view, 6 + messageLength)}`;
  }
  return text;
}
