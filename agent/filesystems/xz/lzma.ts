// LZMA's decoder. Source: the LZMA specification (lzma-specification.txt, I. Pavlov, public domain): a range coder
// whose bits have adaptive probabilities, and symbols that are literals, matches, or matches at one of the last four
// distances.
import { corrupt, type DiskError } from "../../blocks/disk-error.ts";

const PROBABILITY_BITS = 11;
const HALF = 1 << (PROBABILITY_BITS - 1);
const MOVE_BITS = 5;
const TOP = 0x0100_0000;

const STATES = 12;
/** States below this come right after a literal. */
const LITERAL_STATES = 7;
const MAX_POSITION_STATES = 16;
const MIN_MATCH = 2;
const LITERAL_PROBABILITIES = 0x300;
const DISTANCE_MODELS_START = 4;
const DISTANCE_MODELS_END = 14;
const ALIGN_BITS = 4;

// Where each set of probabilities begins in the one array.
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * MAX_POSITION_STATES;
const IS_REP_0 = IS_REP + STATES;
const IS_REP_1 = IS_REP_0 + STATES;
const IS_REP_2 = IS_REP_1 + STATES;
const IS_REP_0_LONG = IS_REP_2 + STATES;
const DISTANCE_SLOT = IS_REP_0_LONG + STATES * MAX_POSITION_STATES;
const DISTANCE_SPECIAL = DISTANCE_SLOT + 4 * 64;
const DISTANCE_ALIGN = DISTANCE_SPECIAL + 128;
const MATCH_LENGTH = DISTANCE_ALIGN + (1 << ALIGN_BITS);
const LENGTH_LOW = 2;
const LENGTH_MIDDLE = LENGTH_LOW + MAX_POSITION_STATES * 8;
const LENGTH_HIGH = LENGTH_MIDDLE + MAX_POSITION_STATES * 8;
const LENGTH_PROBABILITIES = LENGTH_HIGH + 256;
const REP_LENGTH = MATCH_LENGTH + LENGTH_PROBABILITIES;
const LITERALS = REP_LENGTH + LENGTH_PROBABILITIES;
/** Literal context and position bits together, as xz bounds them. */
const MAX_LITERAL_BITS = 4;

/** Decodes LZMA into one buffer, which is the dictionary as well. */
export class LzmaDecoder {
  readonly #output: Uint8Array;
  readonly #probabilities = new Uint16Array(LITERALS + (LITERAL_PROBABILITIES << MAX_LITERAL_BITS));
  readonly #reps = [0, 0, 0, 0];
  #state = 0;
  #literalContextBits = 0;
  #literalPositionMask = 0;
  #positionMask = 0;
  #dictionaryStart = 0;
  #written = 0;

  #input: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #range = 0;
  #code = 0;

  constructor(output: Uint8Array) {
    this.#output = output;
  }

  /** Bytes written to the start of the output. */
  get written(): number {
    return this.#written;
  }

  resetDictionary(): void {
    this.#dictionaryStart = this.#written;
  }

  resetState(): void {
    this.#state = 0;
    this.#reps.fill(0);
    this.#probabilities.fill(HALF);
  }

  /** @param byte (pb × 5 + lp) × 9 + lc */
  setProperties(byte: number): void {
    const contextBits = byte % 9;
    const positionBits = Math.floor(byte / 9) % 5;
    const positionStateBits = Math.floor(byte / 45);
    if (positionStateBits > 4 || contextBits + positionBits > MAX_LITERAL_BITS) throw fail(`properties 0x${byte.toString(16)}`);
    this.#literalContextBits = contextBits;
    this.#literalPositionMask = (1 << positionBits) - 1;
    this.#positionMask = (1 << positionStateBits) - 1;
  }

  copy(bytes: Uint8Array): void {
    if (this.#written + bytes.length > this.#output.length) throw fail(`more than the ${this.#output.length} bytes that are expected`);
    this.#output.set(bytes, this.#written);
    this.#written += bytes.length;
  }

  /** @param length of the output of these bytes. Throws "corrupt" for what leaves the input, the output or the dictionary. */
  decode(input: Uint8Array, length: number): void {
    const limit = this.#written + length;
    if (limit > this.#output.length) throw fail(`more than the ${this.#output.length} bytes that are expected`);
    this.#input = input;
    this.#end = input.length;
    if (input.length < 5 || input[0] !== 0) throw fail("the range coder doesn't start with a zero");
    this.#code = ((input[1]! << 24) | (input[2]! << 16) | (input[3]! << 8) | input[4]!) >>> 0;
    this.#range = 0xffff_ffff;
    this.#at = 5;
    // Every turn writes at least one byte.
    while (this.#written < limit) this.#symbol(limit);
    this.#normalize();
    if (this.#code !== 0 || this.#at !== this.#end) throw fail("it doesn't end where its length says");
  }

  #symbol(limit: number): void {
    const position = this.#written - this.#dictionaryStart;
    const positionState = position & this.#positionMask;
    const state = this.#state;
    if (this.#bit(IS_MATCH + state * MAX_POSITION_STATES + positionState) === 0) return this.#literal(position);
    let length: number;
    if (this.#bit(IS_REP + state) === 0) {
      length = this.#length(MATCH_LENGTH, positionState);
      this.#reps[3] = this.#reps[2]!;
      this.#reps[2] = this.#reps[1]!;
      this.#reps[1] = this.#reps[0]!;
      this.#reps[0] = this.#distance(Math.min(length, 3));
      this.#state = state < LITERAL_STATES ? 7 : 10;
    } else {
      if (this.#bit(IS_REP_0 + state) === 0) {
        if (this.#bit(IS_REP_0_LONG + state * MAX_POSITION_STATES + positionState) === 0) {
          this.#state = state < LITERAL_STATES ? 9 : 11;
          return this.#match(1, position, limit);
        }
      } else this.#takeRep(state);
      length = this.#length(REP_LENGTH, positionState);
      this.#state = state < LITERAL_STATES ? 8 : 11;
    }
    this.#match(length + MIN_MATCH, position, limit);
  }

  /** Brings one of the older distances to the front. */
  #takeRep(state: number): void {
    const reps = this.#reps;
    let distance: number;
    if (this.#bit(IS_REP_1 + state) === 0) distance = reps[1]!;
    else {
      if (this.#bit(IS_REP_2 + state) === 0) distance = reps[2]!;
      else {
        distance = reps[3]!;
        reps[3] = reps[2]!;
      }
      reps[2] = reps[1]!;
    }
    reps[1] = reps[0]!;
    reps[0] = distance;
  }

  #match(length: number, position: number, limit: number): void {
    const output = this.#output;
    const distance = this.#reps[0]! + 1;
    let written = this.#written;
    if (distance > position || written + length > limit) throw fail(`a match of ${length} bytes ${distance} back at ${position}`);
    // Byte by byte: the match may reach into what it writes.
    for (const end = written + length; written < end; written += 1) output[written] = output[written - distance]!;
    this.#written = written;
  }

  #literal(position: number): void {
    const output = this.#output;
    const written = this.#written;
    const previous = position === 0 ? 0 : output[written - 1]!;
    const context = ((position & this.#literalPositionMask) << this.#literalContextBits) + (previous >>> (8 - this.#literalContextBits));
    const base = LITERALS + LITERAL_PROBABILITIES * context;
    let symbol = 1;
    if (this.#state >= LITERAL_STATES) {
      if (this.#reps[0]! >= position) throw fail(`a distance of ${this.#reps[0]! + 1} at ${position}`);
      let expected = output[written - this.#reps[0]! - 1]!;
      while (symbol < 0x100) {
        const expectedBit = (expected >>> 7) & 1;
        expected <<= 1;
        const bit = this.#bit(base + ((1 + expectedBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== expectedBit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(base + symbol);
    output[written] = symbol;
    this.#written = written + 1;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  /** Less the two that every match has. */
  #length(base: number, positionState: number): number {
    if (this.#bit(base) === 0) return this.#tree(base + LENGTH_LOW + positionState * 8, 3);
    if (this.#bit(base + 1) === 0) return 8 + this.#tree(base + LENGTH_MIDDLE + positionState * 8, 3);
    return 16 + this.#tree(base + LENGTH_HIGH, 8);
  }

  /** Less one. */
  #distance(lengthState: number): number {
    const slot = this.#tree(DISTANCE_SLOT + lengthState * 64, 6);
    if (slot < DISTANCE_MODELS_START) return slot;
    const bits = (slot >>> 1) - 1;
    const high = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < DISTANCE_MODELS_END) return high + this.#reverseTree(DISTANCE_SPECIAL + high - slot, bits);
    const direct = this.#directBits(bits - ALIGN_BITS);
    return high + direct * (1 << ALIGN_BITS) + this.#reverseTree(DISTANCE_ALIGN, ALIGN_BITS);
  }

  #tree(base: number, bits: number): number {
    let symbol = 1;
    for (let count = 0; count < bits; count += 1) symbol = (symbol << 1) | this.#bit(base + symbol);
    return symbol - (1 << bits);
  }

  #reverseTree(base: number, bits: number): number {
    let node = 1;
    let symbol = 0;
    for (let count = 0; count < bits; count += 1) {
      const bit = this.#bit(base + node);
      node = (node << 1) | bit;
      symbol |= bit << count;
    }
    return symbol;
  }

  #directBits(bits: number): number {
    let value = 0;
    for (let count = 0; count < bits; count += 1) {
      this.#normalize();
      this.#range >>>= 1;
      const isSet = this.#code >= this.#range;
      if (isSet) this.#code = (this.#code - this.#range) >>> 0;
      value = value * 2 + (isSet ? 1 : 0);
    }
    return value;
  }

  #bit(index: number): 0 | 1 {
    if (this.#range < TOP) this.#normalize();
    const probability = this.#probabilities[index]!;
    const bound = (this.#range >>> PROBABILITY_BITS) * probability;
    if (this.#code < bound) {
      this.#range = bound;
      this.#probabilities[index] = probability + (((1 << PROBABILITY_BITS) - probability) >>> MOVE_BITS);
      return 0;
    }
    this.#range -= bound;
    this.#code -= bound;
    this.#probabilities[index] = probability - (probability >>> MOVE_BITS);
    return 1;
  }

  #normalize(): void {
    if (this.#range >= TOP) return;
    if (this.#at >= this.#end) throw fail("it ends in the middle of a symbol");
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | this.#input[this.#at++]!) >>> 0;
  }
}

function fail(found: string): DiskError {
  return corrupt("lzma data", undefined, found);
}
