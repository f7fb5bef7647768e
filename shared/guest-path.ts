/**
 * Paths inside a mount: "/p2/etc/hosts". Names are bytes; in memory a name is a byte string (each
 * UTF-16 unit one byte, 0 to 255). In JSON and URLs a path is text in which `%XX` may stand for a byte.
 *
 * The promise: the `path` of a listing's entry, used as it is, names exactly that entry. So a `%` that
 * could be read as an escape is itself escaped (`%25`), and reading tries the unescaped form first.
 * A person who types a name with a literal `%41` reaches it too, as long as no file has the other name.
 */

/** Bounds of a request, above what a guest can hold (PATH_MAX is 4096 in Linux, 32767 in Windows). */
export const maxPathBytes = 64 * 1024;
export const maxPathDepth = 4096;

/**
 * Splits a path into its segments, as written; empty ones are skipped. "/" has none.
 * @returns undefined when the path is too long or a segment can't be a name: NUL, ".", "..", an escaped "/"
 */
export function parseGuestPath(path: string): string[] | undefined {
  if (Buffer.byteLength(path) > maxPathBytes) return undefined;
  const segments = path.split("/").filter((segment) => segment !== "");
  if (segments.length > maxPathDepth) return undefined;
  return segments.every((segment) => nameCandidates(segment).every(isName)) ? segments : undefined;
}

/** The byte strings a segment may stand for, the likelier first: escapes read as bytes, then the text as it stands. */
export function nameCandidates(segment: string): string[] {
  const literal = Buffer.from(segment, "utf8").toString("latin1");
  const unescaped = unescapeBytes(literal);
  return unescaped === literal ? [literal] : [unescaped, literal];
}

/** The exact form of a path made of byte-string names. */
export function formatGuestPath(names: readonly string[]): string {
  return names.length === 0 ? "/" : names.map((name) => `/${formatName(name)}`).join("");
}

/**
 * The exact form of one name: UTF-8 stays readable text; a name that is not UTF-8 is percent-encoded.
 * Plain ASCII comes back as it is, at no cost.
 */
export function formatName(name: string): string {
  if (!/[^\x00-\x24\x26-\x7f]/.test(name)) return name;
  const text = Buffer.from(name, "latin1").toString("utf8");
  if (Buffer.from(text, "utf8").toString("latin1") === name) return text.replace(/%(?=[0-9A-Fa-f]{2})/g, "%25");
  return name.replace(/[^\x20-\x24\x26-\x7e]/g, percent);
}

/** True when the path lies at or below the prefix, segment by segment, as written. */
export function isWithin(segments: readonly string[], prefix: readonly string[]): boolean {
  return segments.length >= prefix.length && prefix.every((segment, index) => segments[index] === segment);
}

/**
 * The `path` parameter of a raw query string ("?path=%2Fp2&token=…"), decoded once; undefined when it
 * is missing. URLSearchParams would turn bytes that are not UTF-8 into U+FFFD; here they stay escaped.
 */
export function pathFromQuery(query: string): string | undefined {
  for (const pair of query.replace(/^\?/, "").split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) !== "path") continue;
    const raw = equals < 0 ? "" : pair.slice(equals + 1).replaceAll("+", " ");
    const bytes = unescapeBytes(Buffer.from(raw, "utf8").toString("latin1"));
    const text = Buffer.from(bytes, "latin1").toString("utf8");
    if (Buffer.from(text, "utf8").toString("latin1") === bytes) return text;
    return bytes.split("/").map(formatSegment).join("/");
  }
  return undefined;
}

/** As it stands when it is UTF-8, else with its bytes escaped. */
function formatSegment(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  return Buffer.from(text, "utf8").toString("latin1") === bytes ? text : bytes.replace(/[^\x20-\x24\x26-\x7e]/g, percent);
}

function isName(name: string): boolean {
  return name !== "." && name !== ".." && !name.includes("\0") && !name.includes("/");
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

function unescapeBytes(bytes: string): string {
  return bytes.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
