import { corrupt } from "../../blocks/disk-error.ts";
import { stripeBytes, type Chunk, type Stripe } from "./chunk-item.ts";

/** Part of a logical range that lies in one piece on one device, or that parity stands in for. */
export interface Piece {
  /** Bytes from the start of the range. */
  readonly at: number;
  readonly length: number;
  readonly stripe: Stripe;
  readonly offsetBytes: number;
  /** Set where the piece must be computed instead of read. */
  readonly rebuild?: Rebuild;
}

/** A row of raid5 or raid6 without one of its data stripes. */
export interface Rebuild {
  /** Data stripes in order; `target` is the one wanted. Each is read at its own `offsetBytes`. */
  readonly data: readonly { readonly stripe: Stripe; readonly offsetBytes: number }[];
  readonly target: number;
  /** A second data stripe not to be trusted. */
  readonly other: number | undefined;
  readonly p: { readonly stripe: Stripe; readonly offsetBytes: number } | undefined;
  readonly q: { readonly stripe: Stripe; readonly offsetBytes: number } | undefined;
}

/** Where logical addresses lie. */
export class ChunkMap {
  /** Sorted by address, without overlaps. */
  readonly #chunks: Chunk[] = [];

  /** Adds a chunk; the same one again is ignored, an overlap is "corrupt". */
  add(chunk: Chunk): void {
    const index = this.#indexAfter(chunk.logical);
    const before = this.#chunks[index - 1];
    if (before !== undefined && before.logical === chunk.logical && before.lengthBytes === chunk.lengthBytes) {
      this.#chunks[index - 1] = chunk;
      return;
    }
    const after = this.#chunks[index];
    if ((before !== undefined && before.logical + before.lengthBytes > chunk.logical) || (after !== undefined && chunk.logical + chunk.lengthBytes > after.logical)) {
      throw corrupt(`btrfs chunk at logical ${chunk.logical}`, undefined, "it overlaps another chunk");
    }
    this.#chunks.splice(index, 0, chunk);
  }

  /** All of them, by address. */
  all(): readonly Chunk[] {
    return this.#chunks;
  }

  /** End of the last chunk. */
  get endBytes(): number {
    const last = this.#chunks.at(-1);
    return last === undefined ? 0 : last.logical + last.lengthBytes;
  }

  /** How many ways there are to read what lies at the address: copies, or computations from parity. */
  copyCount(logical: number): number {
    const { profile, stripes } = this.#find(logical);
    switch (profile) {
      case "single":
      case "raid0":
        return 1;
      case "raid5":
        return 2;
      case "raid6":
        // As it is, by P, by Q, and by both without each other data stripe.
        return 3 + Math.max(0, stripes.length - 3);
      case "raid10":
        return 2;
      default:
        return stripes.length;
    }
  }

  /** The pieces of [logical, logical + length) by one way of reading it, in order. Throws "corrupt" where no chunk is. */
  pieces(logical: number, length: number, copy: number): Piece[] {
    const pieces: Piece[] = [];
    for (let done = 0; done < length; ) {
      const position = logical + done;
      const chunk = this.#find(position);
      const within = position - chunk.logical;
      const left = Math.min(length - done, chunk.lengthBytes - within);
      const piece = toPiece(chunk, within, left, done, copy);
      pieces.push(piece);
      done += piece.length;
    }
    return pieces;
  }

  #find(logical: number): Chunk {
    const chunk = this.#chunks[this.#indexAfter(logical) - 1];
    if (chunk === undefined || logical >= chunk.logical + chunk.lengthBytes) {
      throw corrupt("btrfs chunk tree", undefined, `no chunk holds logical address ${logical}`);
    }
    return chunk;
  }

  /** Index of the first chunk behind the address. */
  #indexAfter(logical: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#chunks[middle]!.logical <= logical) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function toPiece(chunk: Chunk, within: number, left: number, at: number, copy: number): Piece {
  const { profile, stripes } = chunk;
  if (profile === "raid0" || profile === "raid10" || profile === "raid5" || profile === "raid6") {
    const number = Math.floor(within / stripeBytes);
    const inStripe = within - number * stripeBytes;
    const length = Math.min(left, stripeBytes - inStripe);
    if (profile === "raid0" || profile === "raid10") {
      const subStripes = profile === "raid10" ? 2 : 1;
      const columns = stripes.length / subStripes;
      const row = Math.floor(number / columns);
      const stripe = stripes[(number % columns) * subStripes + Math.min(copy, subStripes - 1)]!;
      return { at, length, stripe, offsetBytes: stripe.offsetBytes + row * stripeBytes + inStripe };
    }
    return toParityPiece(chunk, number, inStripe, length, at, copy);
  }
  const stripe = stripes[Math.min(copy, stripes.length - 1)]!;
  return { at, length: left, stripe, offsetBytes: stripe.offsetBytes + within };
}

/** Rows rotate by one device each; parity stands behind the row's data. */
function toParityPiece(chunk: Chunk, number: number, inStripe: number, length: number, at: number, copy: number): Piece {
  const { profile, stripes } = chunk;
  const dataCount = stripes.length - (profile === "raid5" ? 1 : 2);
  const row = Math.floor(number / dataCount);
  const target = number % dataCount;
  const locate = (index: number) => {
    const stripe = stripes[(index + row) % stripes.length]!;
    return { stripe, offsetBytes: stripe.offsetBytes + row * stripeBytes + inStripe };
  };
  const piece = { at, length, ...locate(target) };
  if (copy === 0) return piece;
  const data = Array.from({ length: dataCount }, (_, index) => locate(index));
  const p = copy === 2 ? undefined : locate(dataCount);
  const q = profile === "raid5" || copy === 1 ? undefined : locate(dataCount + 1);
  // The third way on leaves out one other data stripe each.
  const other = copy < 3 ? undefined : (copy - 3 + (copy - 3 >= target ? 1 : 0)) % dataCount;
  return { ...piece, rebuild: { data, target, other: other === target ? undefined : other, p, q } };
}
