import { NbdProtocolError } from "./protocol.ts";

/** Chunks one reply may come in. A hostile server could send a byte a chunk; 32 MiB in 4 KiB pieces fits. */
const MAX_CHUNKS = 16_384;

/**
 * Which bytes of a read its chunks have filled. Chunks may come in any order but never twice for one
 * byte, and none may be left out: a gap would show whatever was in the caller's buffer before.
 */
export class Coverage {
  readonly #length: number;
  /** Filled ranges [start, end), in order, apart from each other. */
  readonly #ranges: { start: number; end: number }[] = [];
  #chunks = 0;

  constructor(length: number) {
    this.#length = length;
  }

  get isComplete(): boolean {
    const [first] = this.#ranges;
    return this.#length === 0 || (first !== undefined && first.start === 0 && first.end === this.#length);
  }

  /** Throws when the range leaves the request or was filled before. */
  add(start: number, length: number): void {
    const end = start + length;
    if (start < 0 || length <= 0 || end > this.#length) {
      throw new NbdProtocolError(`chunk [${start}, ${end}) of a read of ${this.#length} bytes`);
    }
    this.#chunks += 1;
    if (this.#chunks > MAX_CHUNKS) throw new NbdProtocolError(`more than ${MAX_CHUNKS} chunks for one read`);
    // Chunks come in order nearly always, so the place to insert is searched from the end.
    let at = this.#ranges.length;
    while (at > 0 && (this.#ranges[at - 1]?.start ?? 0) > start) at -= 1;
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    if ((before !== undefined && before.end > start) || (after !== undefined && after.start < end)) {
      throw new NbdProtocolError(`chunk [${start}, ${end}) was sent before`);
    }
    const joinsBefore = before?.end === start;
    const joinsAfter = after?.start === end;
    if (joinsBefore && joinsAfter) {
      before.end = after.end;
      this.#ranges.splice(at, 1);
    } else if (joinsBefore) before.end = end;
    else if (joinsAfter) after.start = start;
    else this.#ranges.splice(at, 0, { start, end });
  }
}
