import { describe, expect, it } from "vitest";
import type { WalkEntry, WalkItem } from "../../reader/disk-reader.ts";
import { encodeArchive } from "./formats.ts";

/** What tools read in a zip is held in test/http/archive.test.ts; here, what only the encoder's user sees. */
const piece = Buffer.alloc(128 * 1024, 7);
const endRecord = Buffer.from("PK\x05\x06", "latin1");
const centralHeader = Buffer.from("PK\x01\x02", "latin1");

function entry(path: string[], type: "file" | "directory", size = 0): WalkEntry {
  return {
    kind: "entry", path, type, size, mode: type === "file" ? 0o100644 : 0o040755, uid: 0, gid: 0,
    modifiedAt: { seconds: 1_759_947_871, nanoseconds: 0, digits: 0 }, deviceMajor: 0, deviceMinor: 0, xattrs: [], dataLength: size,
  };
}

function zipOf(walk: AsyncIterable<WalkItem>): AsyncGenerator<Uint8Array, void, undefined> {
  return encodeArchive("zip", { walk, rootName: "root", onError: "fail", readFile: () => { throw new Error("no hard links here"); } });
}

describe("a zip of a large file", () => {
  const pieces = 256;
  let givenBytes = 0;
  async function* walk(failAfter: number): AsyncGenerator<WalkItem> {
    yield entry(["small"], "file", 3);
    yield { kind: "data", bytes: Buffer.from("abc") };
    yield entry(["large"], "file", pieces * piece.length);
    for (let index = 0; index < pieces; index++) {
      if (index === failAfter) throw new Error("bad sector");
      givenBytes += piece.length;
      yield { kind: "data", bytes: piece };
    }
  }

  it("asks for more only as it is sent", async () => {
    givenBytes = 0;
    let sentBytes = 0;
    let mostAhead = 0;
    for await (const chunk of zipOf(walk(Infinity))) {
      sentBytes += chunk.length;
      mostAhead = Math.max(mostAhead, givenBytes - sentBytes);
    }
    expect(sentBytes).toBeGreaterThan(pieces * piece.length);
    expect(mostAhead).toBeLessThan(2 * 2 ** 20);
  });

  it("has no directory when a byte of it can't be read", async () => {
    const chunks: Uint8Array[] = [];
    const sending = (async () => {
      for await (const chunk of zipOf(walk(200))) chunks.push(chunk);
    })();
    await expect(sending).rejects.toThrow("bad sector");
    const sent = Buffer.concat(chunks);
    expect(sent.length).toBeGreaterThan(100 * piece.length);
    expect(sent.includes(endRecord)).toBe(false);
    expect(sent.includes(centralHeader)).toBe(false);
  });

  it("stops reading when whoever receives it goes away", async () => {
    givenBytes = 0;
    for await (const chunk of zipOf(walk(Infinity))) if (chunk.length > 1000) break;
    expect(givenBytes).toBeLessThan(4 * 2 ** 20);
  });

  it("is not sent when the walk gives less than it announced", async () => {
    async function* short(): AsyncGenerator<WalkItem> {
      yield entry(["large"], "file", 2 * 2 ** 20);
      yield { kind: "data", bytes: piece };
    }
    await expect((async () => {
      for await (const chunk of zipOf(short())) expect(Buffer.from(chunk).includes(endRecord)).toBe(false);
    })()).rejects.toThrow("announced");
  });
});
