// Arithmetic of RAID 6: the field of 256 elements over x^8 + x^4 + x^3 + x^2 + 1 (0x11d), generator 2. Source: H. Peter
// Anvin, "The mathematics of RAID-6".

const POLYNOMIAL = 0x11d;
const exponentials = new Uint8Array(512);
const logarithms = new Uint8Array(256);
{
  let value = 1;
  for (let power = 0; power < 255; power += 1) {
    exponentials[power] = value;
    exponentials[power + 255] = value;
    logarithms[value] = power;
    value <<= 1;
    if (value > 255) value ^= POLYNOMIAL;
  }
}

/** 2 to any power, also a negative one. */
export function power(exponent: number): number {
  return exponentials[((exponent % 255) + 255) % 255]!;
}

export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : exponentials[logarithms[a]! + logarithms[b]!]!;
}

/** 1 / a, for a other than 0. */
export function inverse(a: number): number {
  return exponentials[255 - logarithms[a]!]!;
}

const products = new Map<number, Uint8Array>();

/** factor × b for every b. */
function productsOf(factor: number): Uint8Array {
  let table = products.get(factor);
  if (table === undefined) {
    table = Uint8Array.from({ length: 256 }, (_, value) => multiply(factor, value));
    products.set(factor, table);
  }
  return table;
}

/** target += factor × bytes, over [start, end) of both. */
export function addProduct(target: Uint8Array, bytes: Uint8Array, factor: number, start: number, end: number): void {
  if (factor === 1) return add(target, bytes, start, end);
  const table = productsOf(factor);
  for (let at = start; at < end; at += 1) target[at] = target[at]! ^ table[bytes[at]!]!;
}

/** target *= factor, over [start, end). */
export function scale(target: Uint8Array, factor: number, start: number, end: number): void {
  const table = productsOf(factor);
  for (let at = start; at < end; at += 1) target[at] = table[target[at]!]!;
}

/** target += bytes (exclusive or), over [start, end) of both. */
export function add(target: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
  let at = start;
  if ((target.byteOffset + start) % 4 === 0 && (bytes.byteOffset + start) % 4 === 0) {
    const words = (end - start) >>> 2;
    const to = new Uint32Array(target.buffer, target.byteOffset + start, words);
    const from = new Uint32Array(bytes.buffer, bytes.byteOffset + start, words);
    for (let word = 0; word < words; word += 1) to[word] = to[word]! ^ from[word]!;
    at += words * 4;
  }
  for (; at < end; at += 1) target[at] = target[at]! ^ bytes[at]!;
}
