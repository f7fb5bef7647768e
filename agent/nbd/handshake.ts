import {
  DEFAULT_MAX_BLOCK_BYTES,
  encodeClientFlags,
  encodeGo,
  encodeOption,
  encodeSetMetaContext,
  GREETING_BYTES,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  INFO_BLOCK_SIZE,
  INFO_EXPORT,
  META_CONTEXT_ALLOCATION,
  NbdProtocolError,
  OPTION_GO,
  OPTION_REPLY_BYTES,
  OPTION_SET_META_CONTEXT,
  OPTION_STRUCTURED_REPLY,
  parseGreeting,
  parseInfo,
  parseMetaContext,
  parseOptionReplyHeader,
  REPLY_ACK,
  REPLY_ERROR_BIT,
  REPLY_INFO,
  REPLY_META_CONTEXT,
  toOptionError,
  TRANSMISSION_HAS_FLAGS,
  TRANSMISSION_SEND_DF,
} from "./protocol.ts";

/** What client and server agreed on for one connection. */
export interface Negotiated {
  readonly sizeBytes: number;
  readonly structuredReplies: boolean;
  /** The server takes "don't fragment": the answer to a read comes in one chunk. */
  readonly sendsUnfragmented: boolean;
  /** The id of base:allocation; undefined when the server can't tell holes. */
  readonly allocationContextId: number | undefined;
  readonly minimumBlockBytes: number;
  readonly maximumBlockBytes: number;
}

/** The two directions of a fresh connection, as the handshake uses them. */
export interface HandshakeIo {
  readExactly(length: number): Promise<Uint8Array>;
  write(bytes: Uint8Array): void;
}

/** Replies a server may give to one option; a few infos and one acknowledgement are usual. */
const MAX_OPTION_REPLIES = 64;

/** Negotiates up to the transmission phase. Throws NbdProtocolError on whatever a server should not say. */
export async function negotiate(io: HandshakeIo, exportName: string): Promise<Negotiated> {
  const serverFlags = parseGreeting(await io.readExactly(GREETING_BYTES));
  io.write(encodeClientFlags(serverFlags & (HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES)));

  const structuredReplies = await requestStructuredReplies(io);
  // Without structured replies there is no reply that could carry a block status.
  const allocationContextId = structuredReplies ? await requestAllocationContext(io, exportName) : undefined;
  const { sizeBytes, flags, minimum, maximum } = await go(io, exportName);
  const hasFlags = (flags & TRANSMISSION_HAS_FLAGS) !== 0;
  return {
    sizeBytes,
    structuredReplies,
    sendsUnfragmented: structuredReplies && hasFlags && (flags & TRANSMISSION_SEND_DF) !== 0,
    allocationContextId,
    minimumBlockBytes: minimum,
    maximumBlockBytes: maximum,
  };
}

async function requestStructuredReplies(io: HandshakeIo): Promise<boolean> {
  io.write(encodeOption(OPTION_STRUCTURED_REPLY));
  const { type } = await readOptionReply(io, OPTION_STRUCTURED_REPLY);
  return type === REPLY_ACK;
}

async function requestAllocationContext(io: HandshakeIo, exportName: string): Promise<number | undefined> {
  io.write(encodeOption(OPTION_SET_META_CONTEXT, encodeSetMetaContext(exportName, META_CONTEXT_ALLOCATION)));
  let id: number | undefined;
  for (let count = 0; count < MAX_OPTION_REPLIES; count += 1) {
    const { type, data } = await readOptionReply(io, OPTION_SET_META_CONTEXT);
    if (type === REPLY_ACK) return id;
    if (type >= REPLY_ERROR_BIT) return undefined;
    if (type !== REPLY_META_CONTEXT) throw new NbdProtocolError(`reply type ${type} to a meta context`);
    const context = parseMetaContext(data);
    if (context.name === META_CONTEXT_ALLOCATION) id = context.id;
  }
  throw tooManyReplies();
}

async function go(io: HandshakeIo, exportName: string) {
  io.write(encodeOption(OPTION_GO, encodeGo(exportName, [INFO_EXPORT, INFO_BLOCK_SIZE])));
  let sizeBytes: number | undefined;
  let flags = 0;
  let minimum = 1;
  let maximum = DEFAULT_MAX_BLOCK_BYTES;
  for (let count = 0; count < MAX_OPTION_REPLIES; count += 1) {
    const { type, data } = await readOptionReply(io, OPTION_GO);
    if (type >= REPLY_ERROR_BIT) {
      throw new NbdProtocolError(`the server refuses export ${JSON.stringify(exportName)}: ${toOptionError(type, data)}`);
    }
    if (type === REPLY_ACK) {
      if (sizeBytes === undefined) throw new NbdProtocolError("the server starts without telling the export's size");
      return { sizeBytes, flags, minimum, maximum };
    }
    if (type !== REPLY_INFO) throw new NbdProtocolError(`reply type ${type} to a request to start`);
    const info = parseInfo(data);
    if (info.kind === "export") ({ sizeBytes, flags } = info);
    if (info.kind === "block-size") ({ minimum, maximum } = info);
  }
  throw tooManyReplies();
}

async function readOptionReply(io: HandshakeIo, option: number): Promise<{ type: number; data: Uint8Array }> {
  const header = parseOptionReplyHeader(await io.readExactly(OPTION_REPLY_BYTES));
  if (header.option !== option) {
    throw new NbdProtocolError(`reply to option ${header.option}, expected one to option ${option}`);
  }
  return { type: header.type, data: await io.readExactly(header.lengthBytes) };
}

function tooManyReplies(): NbdProtocolError {
  return new NbdProtocolError(`more than ${MAX_OPTION_REPLIES} replies to one option`);
}
