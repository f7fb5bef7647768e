import net from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

/**
 * An NBD server for unit tests that says exactly what a test tells it to, right or wrong.
 * It is written from the protocol's text and shares no code with the client.
 */
export interface ScriptedOptions {
  readonly sizeBytes?: number;
  /** Default true. */
  readonly structured?: boolean;
  /** Default true, where structured. */
  readonly allocation?: boolean;
  /** Transmission flags; default: has flags, read-only, don't fragment. */
  readonly flags?: number;
  readonly blockSizes?: readonly [minimum: number, preferred: number, maximum: number];
  /** Sent instead of a greeting. */
  readonly greeting?: Uint8Array;
  /** Never says a word. */
  readonly isMute?: boolean;
  /** Answers requests; without one they go unanswered. */
  readonly onRequest?: (request: ScriptedRequest, peer: ScriptedPeer) => void;
}

export interface ScriptedRequest {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly offset: number;
  readonly length: number;
  /** Which connection it came over, counted from 1. */
  readonly connection: number;
}

export interface ScriptedPeer {
  write(bytes: Uint8Array): void;
  hangUp(): void;
}

export interface ScriptedServer {
  readonly socketPath: string;
  readonly requests: ScriptedRequest[];
  readonly connections: number;
  /** Changes what the next connections meet. */
  configure(options: ScriptedOptions): void;
  hangUpAll(): void;
  close(): Promise<void>;
}

/** Byte n of the scripted disk. */
export function diskByte(offset: number): number {
  return (offset * 13 + (offset >>> 9)) & 0xff;
}

export function diskBytes(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) bytes[at] = diskByte(offset + at);
  return bytes;
}

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
export const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
export const u64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

export function simpleReply(request: ScriptedRequest, error = 0, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u32(0x67446698), u32(error), u64(request.cookie), data]);
}

export function chunk(request: ScriptedRequest, done: boolean, type: number, ...payload: Uint8Array[]): Buffer {
  const body = Buffer.concat(payload);
  return Buffer.concat([u32(0x668e33ef), u16(done ? 1 : 0), u16(type), u64(request.cookie), u32(body.length), body]);
}

/** A data chunk with the scripted disk's bytes. */
export function dataChunk(request: ScriptedRequest, done: boolean, offset = request.offset, length = request.length): Buffer {
  return chunk(request, done, 1, u64(offset), diskBytes(offset, length));
}

export function errorChunk(request: ScriptedRequest, errno: number, message: string): Buffer {
  return chunk(request, true, 0x8001, u32(errno), u16(message.length), Buffer.from(message));
}

export async function startScriptedServer(initial: ScriptedOptions): Promise<ScriptedServer> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "pluck-nbd-"));
  const socketPath = path.join(folder, "socket");
  const requests: ScriptedRequest[] = [];
  const sockets = new Set<net.Socket>();
  let options = initial;
  let connections = 0;

  const server = net.createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    if (options.isMute !== true) serve(socket, options, connections, requests);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const hangUpAll = () => sockets.forEach((socket) => socket.destroy());
  return {
    socketPath,
    requests,
    get connections() {
      return connections;
    },
    configure: (next) => (options = next),
    hangUpAll,
    close: async () => {
      hangUpAll();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function serve(socket: net.Socket, options: ScriptedOptions, connection: number, requests: ScriptedRequest[]): void {
  const { structured = true, allocation = true, sizeBytes = 1 << 20, flags = 0x83, blockSizes } = options;
  let received = Buffer.alloc(0);
  let phase: "flags" | "options" | "transmission" = "flags";
  const optionReply = (option: number, type: number, ...data: Uint8Array[]) => {
    const body = Buffer.concat(data);
    socket.write(Buffer.concat([u64(0x3e889045565a9n), u32(option), u32(type), u32(body.length), body]));
  };
  const onOption = (option: number) => {
    if (option === 8) optionReply(8, structured ? 1 : 0x80000001);
    else if (option === 10) {
      if (allocation) optionReply(10, 4, u32(7), Buffer.from("base:allocation"));
      optionReply(10, 1);
    } else if (option === 7) {
      optionReply(7, 3, u16(0), u64(sizeBytes), u16(flags));
      if (blockSizes !== undefined) optionReply(7, 3, u16(3), ...blockSizes.map(u32));
      optionReply(7, 1);
      phase = "transmission";
    } else optionReply(option, 0x80000001);
  };
  /** Takes one message off the received bytes; false when it is not all there yet. */
  const takeMessage = (): boolean => {
    if (phase === "flags") {
      if (received.length < 4) return false;
      received = received.subarray(4);
      phase = "options";
    } else if (phase === "options") {
      if (received.length < 16 || received.length < 16 + received.readUInt32BE(12)) return false;
      const option = received.readUInt32BE(8);
      received = received.subarray(16 + received.readUInt32BE(12));
      onOption(option);
    } else {
      if (received.length < 28) return false;
      const request: ScriptedRequest = {
        flags: received.readUInt16BE(4),
        type: received.readUInt16BE(6),
        cookie: received.readBigUInt64BE(8),
        offset: Number(received.readBigUInt64BE(16)),
        length: received.readUInt32BE(24),
        connection,
      };
      received = received.subarray(28);
      requests.push(request);
      if (request.type === 2) socket.end();
      else options.onRequest?.(request, { write: (bytes) => void socket.write(bytes), hangUp: () => socket.destroy() });
    }
    return true;
  };
  socket.on("data", (data) => {
    received = Buffer.concat([received, data]);
    while (takeMessage());
  });
  socket.write(options.greeting ?? Buffer.concat([Buffer.from("NBDMAGICIHAVEOPT"), u16(3)]));
}
