/** What the API takes at most (maxSecretBytes of shared/sealed-secret.ts). */
export const maxKeyBytes = 64 * 1024;

/** @param bytes at most maxKeyBytes: a character each is no burden */
export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
