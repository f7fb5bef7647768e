// Raid6 arithmetic of the Linux kernel (lib/raid6): bytes as polynomials over GF(2) modulo 0x11d, generator 2.
// P is the sum of the data stripes, Q the sum of each times 2 to its position.

const powers = new Uint8Array(512);
const logarithms = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  powers[exponent] = value;
  powers[exponent + 255] = value;
  logarithms[value] = exponent;
  value = value & 0x80 ? ((value << 1) ^ 0x11d) & 0xff : value << 1;
}

function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : powers[logarithms[a]! + logarithms[b]!]!;
}

function inverse(a: number): number {
  return powers[255 - logarithms[a]!]!;
}

/** Adds `bytes` times 2^exponent to `target`. */
function addScaled(target: Uint8Array, bytes: Uint8Array, factor: number): void {
  if (factor === 1) for (let i = 0; i < target.length; i++) target[i]! ^= bytes[i]!;
  else for (let i = 0; i < target.length; i++) target[i]! ^= multiply(bytes[i]!, factor);
}

function power(exponent: number): number {
  return powers[exponent % 255]!;
}

/** The missing one from P and the other data. @param data undefined in the place of the missing one */
export function rebuildFromP(data: readonly (Uint8Array | undefined)[], p: Uint8Array): Uint8Array {
  const result = Uint8Array.from(p);
  for (const bytes of data) if (bytes !== undefined) addScaled(result, bytes, 1);
  return result;
}

/** The missing one from Q and the other data. */
export function rebuildFromQ(data: readonly (Uint8Array | undefined)[], q: Uint8Array, target: number): Uint8Array {
  const result = Uint8Array.from(q);
  data.forEach((bytes, index) => {
    if (bytes !== undefined) addScaled(result, bytes, power(index));
  });
  return scale(result, inverse(power(target)));
}

/** One of two missing ones from both. */
export function rebuildFromBoth(data: readonly (Uint8Array | undefined)[], p: Uint8Array, q: Uint8Array, target: number, other: number): Uint8Array {
  // P' = D_t + D_o and Q' = g^t D_t + g^o D_o, so D_t = (Q' + g^o P') / (g^t + g^o).
  const sum = rebuildFromP(data, p);
  const result = Uint8Array.from(q);
  data.forEach((bytes, index) => {
    if (bytes !== undefined) addScaled(result, bytes, power(index));
  });
  addScaled(result, sum, power(other));
  return scale(result, inverse(power(target) ^ power(other)));
}

function scale(bytes: Uint8Array, factor: number): Uint8Array {
  for (let i = 0; i < bytes.length; i++) bytes[i] = multiply(bytes[i]!, factor);
  return bytes;
}
