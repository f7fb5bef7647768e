import { guessEncoding } from "./encoding.ts";

/** How a file is shown. */
export type PreviewKind = { readonly kind: "image" | "pdf"; readonly mediaType: string } | { readonly kind: "text" } | { readonly kind: "hex" };

const magics: readonly (readonly [mediaType: string, offset: number, bytes: string])[] = [
  ["image/png", 0, "\x89PNG\r\n\x1a\n"],
  ["image/jpeg", 0, "\xff\xd8\xff"],
  ["image/gif", 0, "GIF8"],
  ["image/webp", 8, "WEBP"],
  ["image/avif", 4, "ftypavif"],
  ["image/bmp", 0, "BM"],
  ["application/pdf", 0, "%PDF-"],
];

/**
 * By its first bytes, never by its name: a name is whatever somebody gave it.
 * @param isWhole whether `head` is all of the file
 */
export function previewKind(head: Uint8Array, isWhole: boolean): PreviewKind {
  const latin1 = String.fromCharCode(...head.subarray(0, 1024));
  const mediaType = magics.find(([, offset, bytes]) => latin1.startsWith(bytes, offset))?.[0];
  if (mediaType === "application/pdf") return { kind: "pdf", mediaType };
  // "BM" begins many a text: a bitmap says its header's size at 14, one of few.
  if (mediaType !== undefined && (mediaType !== "image/bmp" || [12, 40, 52, 56, 108, 124].includes(head[14] ?? 0))) return { kind: "image", mediaType };
  if (guessEncoding(head, isWhole) === undefined) return { kind: "hex" };
  // As an <img> it runs no script and loads nothing.
  return /^\ufeff?\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^]*?-->\s*)*(?:<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]/i.test(latin1) ? { kind: "image", mediaType: "image/svg+xml" } : { kind: "text" };
}
