/** What a file's validators are: its strong ETag with quotes, and its Last-Modified where it has one. */
export interface Validators {
  readonly etag: string;
  readonly lastModified: string | undefined;
}

export type Headers = (name: string) => string | undefined;

/**
 * The conditional headers in the order of RFC 9110, 13.2.2: "failed" is a 412, "not-modified" a 304.
 */
export function checkPreconditions(header: Headers, { etag, lastModified }: Validators): "go" | "failed" | "not-modified" {
  const ifMatch = header("if-match");
  const ifUnmodifiedSince = header("if-unmodified-since");
  if (ifMatch !== undefined) {
    if (!listsTag(ifMatch, etag, "strong")) return "failed";
  } else if (isLater(lastModified, ifUnmodifiedSince)) {
    return "failed";
  }
  const ifNoneMatch = header("if-none-match");
  const ifModifiedSince = header("if-modified-since");
  if (ifNoneMatch !== undefined) return listsTag(ifNoneMatch, etag, "weak") ? "not-modified" : "go";
  const since = toSeconds(ifModifiedSince);
  const changed = toSeconds(lastModified);
  return since !== undefined && changed !== undefined && changed <= since ? "not-modified" : "go";
}

/** RFC 9110, 13.1.5: whether Range still speaks of this file. A date must match exactly, a weak tag never does. */
export function rangeStillApplies(ifRange: string | undefined, { etag, lastModified }: Validators): boolean {
  if (ifRange === undefined) return true;
  const value = ifRange.trim();
  if (value.startsWith('"')) return value === etag;
  if (value.startsWith("W/")) return false;
  const asked = toSeconds(value);
  return asked !== undefined && asked === toSeconds(lastModified);
}

/** 13.1.1 compares strongly (a weak tag matches nothing), 13.1.2 weakly. */
function listsTag(list: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (list.trim() === "*") return true;
  for (const match of list.matchAll(/(W\/)?("[^"]*")/g)) {
    if (match[2] === etag && (comparison === "weak" || match[1] === undefined)) return true;
  }
  return false;
}

function isLater(lastModified: string | undefined, limit: string | undefined): boolean {
  const changed = toSeconds(lastModified);
  const unchangedSince = toSeconds(limit);
  return changed !== undefined && unchangedSince !== undefined && changed > unchangedSince;
}

/** An HTTP-date in seconds; what is none counts as absent (13.1.3, 13.1.4). */
function toSeconds(date: string | undefined): number | undefined {
  if (date === undefined || !/^[A-Z][a-z]+,? .*\d{2}:\d{2}:\d{2}/.test(date)) return undefined;
  const time = Date.parse(date.endsWith("GMT") || date.includes(",") ? date : `${date} GMT`);
  return Number.isNaN(time) ? undefined : Math.floor(time / 1000);
}
