import { Duplex } from "node:stream";
import type { Socket } from "node:net";

/**
 * Source: MQTT 3.1.1 (OASIS), 2.2 "Fixed header".
 *
 * | Offset | Size   | Field            | Meaning |
 * |---|---|---|---|
 * | 0      | 1      | type and flags   | not looked at here |
 * | 1      | 1 to 4 | remaining length | 7 bits a byte, the least first; bit 7: another byte follows |
 * | …      | length | the rest         | skipped |
 *
 * Follows the packets of one connection by their headers alone, to refuse a packet that announces
 * more than the limit before any of it is held in memory.
 */
export class PacketMeter {
  #limitBytes: number;
  #state: "type" | "length" | "rest" = "type";
  #lengthBytes = 0;
  #remaining = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Holds from the next packet on. */
  setLimit(limitBytes: number): void {
    this.#limitBytes = limitBytes;
  }

  /** @returns why the connection must end, or undefined while all is well */
  feed(chunk: Uint8Array): string | undefined {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#state === "rest") {
        const taken = Math.min(this.#remaining, chunk.length - offset);
        this.#remaining -= taken;
        offset += taken;
        if (this.#remaining === 0) this.#state = "type";
        continue;
      }
      const byte = chunk[offset] ?? 0;
      offset += 1;
      if (this.#state === "type") {
        this.#state = "length";
        this.#lengthBytes = 0;
        this.#remaining = 0;
        continue;
      }
      this.#remaining += (byte & 0x7f) * 128 ** this.#lengthBytes;
      this.#lengthBytes += 1;
      if (byte >= 0x80) {
        if (this.#lengthBytes === 4) return "the remaining length has more than four bytes";
        continue;
      }
      if (this.#remaining > this.#limitBytes) return `a packet of ${this.#remaining} bytes, the limit is ${this.#limitBytes}`;
      this.#state = this.#remaining === 0 ? "type" : "rest";
    }
    return undefined;
  }
}

/** A socket whose incoming packets are bounded; the broker reads and writes it like the socket. */
export class BoundedConnection extends Duplex {
  readonly #socket: Socket;
  readonly #meter: PacketMeter;

  constructor(socket: Socket, limitBytes: number) {
    super();
    this.#socket = socket;
    this.#meter = new PacketMeter(limitBytes);
    socket.on("data", (chunk: Buffer) => {
      const refusal = this.#meter.feed(chunk);
      if (refusal !== undefined) this.destroy(new Error(`MQTT packet refused: ${refusal}`));
      else if (!this.push(chunk)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  setLimit(limitBytes: number): void {
    this.#meter.setLimit(limitBytes);
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  /** The encoder writes a packet in small pieces; together they are one segment. */
  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
