import parseRange from "range-parser";

/** Half-open, in bytes of the file. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * More ranges than this are not served one by one: the header is then ignored and the whole file
 * sent, as RFC 9110, 14.2 allows. Download managers ask for one, PDF viewers for a dozen.
 */
export const maxByteRanges = 64;

/**
 * The ranges a Range header asks for (RFC 9110, 14): "whole" when there is none, it is malformed, of
 * another unit, or asks for too much; "unsatisfiable" when no range touches the file.
 */
export function parseByteRanges(header: string | undefined, sizeBytes: number): ByteRange[] | "whole" | "unsatisfiable" {
  if (header === undefined || sizeBytes === 0 || !/^bytes=/i.test(header)) return "whole";
  const specs = header.slice(header.indexOf("=") + 1).split(",");
  if (specs.length > maxByteRanges) return "whole";
  // "the last 100 bytes" of a shorter file is the whole file; range-parser takes it for unsatisfiable.
  const clamped = specs.map((spec) => {
    const suffix = /^\s*-(\d+)\s*$/.exec(spec)?.[1];
    return suffix !== undefined && Number(suffix) > sizeBytes ? `-${sizeBytes}` : spec;
  });
  const found = parse(sizeBytes, clamped, false);
  if (found === -2) return "whole";
  if (found === -1) return "unsatisfiable";
  const asked = found.reduce((sum, range) => sum + range.end - range.start, 0);
  if (asked <= sizeBytes) return found;
  // Overlaps that add up to more than the file: the same bytes once.
  const combined = parse(sizeBytes, clamped, true);
  return typeof combined === "number" ? "whole" : combined;
}

function parse(sizeBytes: number, specs: readonly string[], combine: boolean): ByteRange[] | -1 | -2 {
  const result = parseRange(sizeBytes, `bytes=${specs.join(",")}`, { combine });
  return typeof result === "number" ? result : result.map(({ start, end }) => ({ start, end: end + 1 }));
}

export interface MultipartLayout {
  readonly contentType: string;
  readonly lengthBytes: number;
  /** What stands before each range's bytes, and at the end. */
  readonly heads: readonly Buffer[];
  readonly tail: Buffer;
}

/** A multipart/byteranges body (RFC 9110, 14.6), its length known beforehand. */
export function layoutMultipart(ranges: readonly ByteRange[], sizeBytes: number, partType: string, boundary: string): MultipartLayout {
  const heads = ranges.map(({ start, end }, index) =>
    Buffer.from(
      `${index === 0 ? "" : "\r\n"}--${boundary}\r\nContent-Type: ${partType}\r\nContent-Range: ${contentRange({ start, end }, sizeBytes)}\r\n\r\n`,
      "latin1",
    ),
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, "latin1");
  const dataBytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    lengthBytes: heads.reduce((sum, head) => sum + head.length, tail.length + dataBytes),
    heads,
    tail,
  };
}

export function contentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end - 1}/${sizeBytes}`;
}
