import { NbdProtocolError } from "./protocol.ts";

/** Bytes of one read of the socket while headers are expected; a payload's first part comes along and is copied. */
const SCRATCH_BYTES = 16 * 1024;
/** From here on a second system call is cheaper than copying through the scratch buffer. */
const DIRECT_READ_BYTES = 8 * 1024;

/**
 * Puts a socket's bytes where the protocol wants them. The owner reads from the socket into
 * `nextBuffer()` and reports each read with `received`; the protocol says with `fill` or `skip` where
 * the next bytes belong. A large destination is offered to the socket itself, so that payload
 * goes from the kernel into the caller's buffer without a copy between.
 */
export class ByteFeed {
  readonly #scratch = new Uint8Array(Buffer.allocUnsafeSlow(SCRATCH_BYTES).buffer);
  /** Unread bytes of the scratch buffer: [start, end). */
  #start = 0;
  #end = 0;
  /** Where the next bytes go; undefined while they are skipped, or while nothing is asked for. */
  #target: Uint8Array | undefined;
  #remaining = 0;
  #done: (() => void) | undefined;
  #direct = false;
  #pumping = false;

  /** Asks for the next `target.length` bytes; `done` is called when they are there, and may ask for more. */
  fill(target: Uint8Array, done: () => void): void {
    this.#ask(target, target.length, done);
  }

  /** Drops the next `length` bytes. */
  skip(length: number, done: () => void): void {
    this.#ask(undefined, length, done);
  }

  /** Drops what is left of the current `fill` instead of storing it: its buffer is then free for others. */
  release(): void {
    this.#target = undefined;
  }

  /** True while the socket holds a piece of the current destination and may write into it. */
  get isDirect(): boolean {
    return this.#direct;
  }

  /** Where the socket's next read goes. */
  nextBuffer(): Uint8Array {
    const target = this.#target;
    this.#direct = target !== undefined && this.#start === this.#end && this.#remaining >= DIRECT_READ_BYTES;
    if (this.#direct && target !== undefined) return target.subarray(target.length - this.#remaining);
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
    if (this.#end === SCRATCH_BYTES) {
      this.#scratch.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      if (this.#end === SCRATCH_BYTES) throw new NbdProtocolError("the server sends what nobody asked for");
    }
    return this.#scratch.subarray(this.#end);
  }

  /** The socket has put `count` bytes into the buffer it was given last. */
  received(count: number): void {
    if (!this.#direct) {
      this.#end += count;
      this.#pump();
      return;
    }
    this.#direct = false;
    this.#remaining -= count;
    if (this.#remaining === 0) this.#finish();
    this.#pump();
  }

  #ask(target: Uint8Array | undefined, length: number, done: () => void): void {
    this.#target = target;
    this.#remaining = length;
    this.#done = done;
    this.#pump();
  }

  /** Serves what is asked for from the scratch buffer until either is used up. */
  #pump(): void {
    // `done` asks for more from inside this loop, which then goes on instead of nesting.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#done !== undefined && (this.#remaining === 0 || this.#start < this.#end)) {
        const count = Math.min(this.#remaining, this.#end - this.#start);
        const target = this.#target;
        target?.set(this.#scratch.subarray(this.#start, this.#start + count), target.length - this.#remaining);
        this.#start += count;
        this.#remaining -= count;
        if (this.#remaining === 0) this.#finish();
      }
    } finally {
      this.#pumping = false;
    }
  }

  #finish(): void {
    const done = this.#done;
    this.#done = undefined;
    this.#target = undefined;
    done?.();
  }
}
