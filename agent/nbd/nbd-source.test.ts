import { afterEach, describe, expect, test } from "vitest";
import type { NbdOptions, NbdSource } from "./nbd-source.ts";
import { openNbd } from "./nbd-source.ts";
import type { ScriptedOptions, ScriptedRequest, ScriptedServer } from "./scripted-server.ts";
import { chunk, dataChunk, diskBytes, errorChunk, simpleReply, startScriptedServer, u32, u64 } from "./scripted-server.ts";

let server: ScriptedServer;
let source: NbdSource | undefined;

afterEach(async () => {
  await source?.close();
  source = undefined;
  await server.close();
});

async function open(options: ScriptedOptions, clientOptions: Partial<NbdOptions> = {}): Promise<NbdSource> {
  server = await startScriptedServer(options);
  source = await openNbd({ socketPath: server.socketPath, ...clientOptions });
  return source;
}

const ioError = (message: RegExp) => expect.objectContaining({ code: "io_error", message: expect.stringMatching(message) });
const serveData: ScriptedOptions["onRequest"] = (request, peer) => peer.write(dataChunk(request, true));
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe("opening", () => {
  test("learns the size from the server", async () => {
    const nbd = await open({ sizeBytes: 12_345 });
    expect(nbd.sizeBytes).toBe(12_345);
    expect(nbd.knowsHoles).toBe(true);
  });

  test.each<[string, ScriptedOptions, RegExp]>([
    ["a server that says nothing", { isMute: true }, /no NBD handshake within 200 ms/],
    ["garbage", { greeting: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") }, /NBDMAGIC/],
    ["an oldstyle server", { greeting: Buffer.from("4e42444d4147494300420281861253000000", "hex") }, /newstyle/],
    ["a greeting that stops", { greeting: Buffer.from("NBDM") }, /no NBD handshake/],
    ["contradicting block sizes", { blockSizes: [4096, 512, 512] }, /contradict/],
    ["an endless greeting", { greeting: Buffer.alloc(1 << 20, "NBDMAGICIHAVEOPT") }, /NBD/],
  ])("meets %s with io_error", async (_what, options, message) => {
    await expect(open(options, { handshakeTimeoutMs: 200 })).rejects.toEqual(ioError(message));
  });

  test("meets a missing socket with io_error", async () => {
    server = await startScriptedServer({});
    await expect(openNbd({ socketPath: `${server.socketPath}-not-there` })).rejects.toEqual(ioError(/ENOENT/));
  });

  test("an abort ends it with the signal's reason", async () => {
    server = await startScriptedServer({ isMute: true });
    const opening = openNbd({ socketPath: server.socketPath, signal: AbortSignal.timeout(50) });
    await expect(opening).rejects.toMatchObject({ name: "TimeoutError" });
  });
});

describe("reading", () => {
  test("takes simple replies from a server without structured ones", async () => {
    const nbd = await open({
      structured: false,
      onRequest: (request, peer) => peer.write(simpleReply(request, 0, diskBytes(request.offset, request.length))),
    });
    expect(Buffer.from(await nbd.read(1000, 300_000)).equals(diskBytes(1000, 300_000))).toBe(true);
    expect(nbd.knowsHoles).toBe(false);
    expect(await nbd.extents(5, 10)).toEqual([{ offset: 5, length: 10, hole: false }]);
  });

  test("puts chunks in their place whatever their order, and holes as zeros", async () => {
    const nbd = await open({
      onRequest: (request, peer) => {
        const { offset } = request;
        peer.write(dataChunk(request, false, offset + 90_000, 10_000));
        peer.write(chunk(request, false, 2, u64(offset), u32(50_000)));
        peer.write(dataChunk(request, false, offset + 50_000, 40_000));
        peer.write(chunk(request, true, 0));
      },
    });
    const target = Buffer.alloc(100_000, 0xee);
    await nbd.readInto(512, target);
    expect(target.subarray(0, 50_000).every((byte) => byte === 0)).toBe(true);
    expect(target.subarray(50_000).equals(diskBytes(512 + 50_000, 50_000))).toBe(true);
  });

  test("answers may come in any order, each reaches its own reader", async () => {
    const waiting: (() => void)[] = [];
    const nbd = await open({
      onRequest: (request, peer) => {
        waiting.push(() => peer.write(dataChunk(request, true)));
        if (waiting.length === 5) waiting.reverse().forEach((answer) => answer());
      },
    });
    const reads = await Promise.all([0, 1, 2, 3, 4].map((index) => nbd.read(index * 1000 + 7, 500)));
    reads.forEach((bytes, index) => expect(Buffer.from(bytes).equals(diskBytes(index * 1000 + 7, 500))).toBe(true));
  });

  test("one failed read fails alone, with the server's words", async () => {
    const nbd = await open({
      onRequest: (request, peer) => {
        if (request.offset === 4096) peer.write(errorChunk(request, 5, "bad sector"));
        else peer.write(dataChunk(request, true));
      },
    });
    const [before, failed, after] = await Promise.allSettled([nbd.read(0, 512), nbd.read(4096, 512), nbd.read(8192, 512)]);
    expect(before.status).toBe("fulfilled");
    expect(after.status).toBe("fulfilled");
    expect(failed).toMatchObject({ reason: ioError(/512 bytes at byte 4096.*EIO: bad sector/) });
    expect(server.connections).toBe(1);
  });

  test("an error after some data still fails the read", async () => {
    const nbd = await open({
      onRequest: (request, peer) => {
        peer.write(dataChunk(request, false));
        peer.write(errorChunk(request, 5, ""));
      },
    });
    await expect(nbd.read(0, 100)).rejects.toEqual(ioError(/EIO/));
  });

  test("splits large reads to the server's maximum, and keeps within the bytes allowed under way", async () => {
    let underWay = 0;
    let most = 0;
    const nbd = await open(
      {
        sizeBytes: 1 << 20,
        blockSizes: [1, 4096, 128 * 1024],
        onRequest: (request, peer) => {
          underWay += request.length;
          most = Math.max(most, underWay);
          setTimeout(() => {
            underWay -= request.length;
            peer.write(dataChunk(request, true));
          }, 5);
        },
      },
      { maxInFlightBytes: 300_000 },
    );
    const bytes = await nbd.read(100, 1_000_000);
    expect(Buffer.from(bytes).equals(diskBytes(100, 1_000_000))).toBe(true);
    expect(Math.max(...server.requests.map((request) => request.length))).toBe(128 * 1024);
    expect(most).toBeLessThanOrEqual(300_000);
    expect(most).toBeGreaterThan(128 * 1024);
  });

  test("honours a minimum block size", async () => {
    const nbd = await open({ blockSizes: [4096, 4096, 65_536], onRequest: serveData });
    const target = Buffer.alloc(100_000);
    await nbd.readInto(5000, target);
    expect(target.equals(diskBytes(5000, 100_000))).toBe(true);
    expect(server.requests.every(({ offset, length }) => offset % 4096 === 0 && length % 4096 === 0)).toBe(true);
  });

  test("asks for small reads in one piece where the server offers it", async () => {
    const nbd = await open({ onRequest: serveData });
    await nbd.read(0, 4096);
    await nbd.read(0, 400_000);
    expect(server.requests.map((request) => request.flags)).toEqual([4, 0]);
  });

  test("small reads pass large ones that wait", async () => {
    const answers: (() => void)[] = [];
    const nbd = await open(
      { onRequest: (request, peer) => void answers.push(() => peer.write(dataChunk(request, true))) },
      { maxInFlightBytes: 512 * 1024 },
    );
    const large = nbd.readInto(0, Buffer.alloc(1 << 20));
    const small = nbd.read(0, 100);
    await until(() => answers.length === 2);
    answers.splice(0).forEach((answer) => answer());
    await small;
    await until(() => answers.length === 1);
    answers.forEach((answer) => answer());
    await large;
  });

  test("refuses a range outside the export as corrupt", async () => {
    const nbd = await open({ sizeBytes: 1000 });
    expect(() => nbd.read(999, 2)).toThrow(expect.objectContaining({ code: "corrupt" }));
    await expect(nbd.readInto(1001, new Uint8Array(0))).rejects.toMatchObject({ code: "corrupt" });
    await expect(nbd.extents(0, 1001)).rejects.toMatchObject({ code: "corrupt" });
    expect(await nbd.read(1000, 0)).toEqual(new Uint8Array(0));
    expect(server.requests).toEqual([]);
  });

  test("tells holes", async () => {
    const nbd = await open({
      onRequest: (request, peer) =>
        peer.write(chunk(request, true, 5, u32(7), u32(4096), u32(0), u32(8192), u32(3), u32(1 << 20), u32(0))),
    });
    expect(await nbd.extents(100, 20_000)).toEqual([
      { offset: 100, length: 4096, hole: false },
      { offset: 4196, length: 8192, hole: true },
      { offset: 12_388, length: 7712, hole: false },
    ]);
  });
});

describe("a server that breaks the protocol", () => {
  const garbage: [string, (request: ScriptedRequest) => Buffer][] = [
    ["random bytes", () => Buffer.from("no such reply at all, sorry")],
    ["a cookie never given", (request) => dataChunk({ ...request, cookie: 999n }, true)],
    ["a cookie past 2^63", (request) => dataChunk({ ...request, cookie: 0xffff_ffff_ffff_ffffn }, true)],
    ["too little data", (request) => dataChunk(request, true, request.offset, request.length - 1)],
    ["no data", (request) => chunk(request, true, 0)],
    ["data outside the request", (request) => dataChunk(request, true, request.offset + 1, request.length)],
    ["data twice", (request) => Buffer.concat([dataChunk(request, false), dataChunk(request, true)])],
    ["a hole of 4 GiB", (request) => chunk(request, true, 2, u64(request.offset), u32(0xffff_ffff))],
    ["a chunk of 4 GiB", (request) => chunk(request, true, 1).fill(0xff, 16, 20)],
    ["an unknown chunk", (request) => chunk(request, true, 77, Buffer.alloc(10))],
    ["an error chunk too long", (request) => chunk(request, true, 0x8001, Buffer.alloc(10_000))],
    ["an error message past its chunk", (request) => chunk(request, true, 0x8001, u32(5), Buffer.from([0xff, 0xff]))],
    ["a block status to a read", (request) => chunk(request, true, 5, u32(7), u32(10), u32(0))],
    ["a simple reply", (request) => simpleReply(request, 0, diskBytes(0, 512))],
  ];
  test.each(garbage)("%s: io_error, and other reads live on", async (_what, reply) => {
    const nbd = await open({
      onRequest: (request, peer) => {
        if (request.offset === 4096) peer.write(reply(request));
        else setTimeout(() => peer.write(dataChunk(request, true)), 20);
      },
    });
    const failed = nbd.read(4096, 512);
    await expect(failed).rejects.toEqual(ioError(/NBD read of 512 bytes at byte 4096/));
    expect(Buffer.from(await nbd.read(0, 100)).equals(diskBytes(0, 100))).toBe(true);
  });

  test("silence: io_error after the stall time, not sent again", async () => {
    const nbd = await open({}, { stallTimeoutMs: 100 });
    await expect(nbd.read(0, 512)).rejects.toEqual(ioError(/silent for 100 ms/));
    expect(server.requests).toHaveLength(1);
  });
});

describe("a lost connection", () => {
  test("is made anew, and unanswered reads are sent again", async () => {
    const nbd = await open({
      onRequest: (request, peer) => {
        if (request.connection > 1) return peer.write(dataChunk(request, true));
        // Half an answer, then nothing: the second connection has to fill the buffer from its start.
        peer.write(dataChunk(request, true).fill(0xee, 28).subarray(0, 60_000));
        setTimeout(() => peer.hangUp(), 10);
      },
    });
    const target = Buffer.alloc(100_000);
    await Promise.all([nbd.readInto(0, target), nbd.read(5, 10)]);
    expect(target.equals(diskBytes(0, 100_000))).toBe(true);
    expect(server.connections).toBe(2);
  });

  test("while idle goes unnoticed by the next read", async () => {
    const nbd = await open({ onRequest: serveData });
    server.hangUpAll();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(Buffer.from(await nbd.read(0, 10)).equals(diskBytes(0, 10))).toBe(true);
  });

  test("that never comes back is io_error within the time named", async () => {
    const nbd = await open({}, { reconnectTimeoutMs: 300 });
    server.configure({ greeting: Buffer.from("gone away, sorry") });
    const read = nbd.read(0, 512);
    await until(() => server.requests.length === 1);
    const start = performance.now();
    server.hangUpAll();
    await expect(read).rejects.toEqual(ioError(/no connection/));
    expect(performance.now() - start).toBeLessThan(1500);
    // Later reads try once each, and see the server when it is back.
    await expect(nbd.read(0, 512)).rejects.toEqual(ioError(/no connection/));
    server.configure({ onRequest: serveData });
    await nbd.read(0, 512);
  });

  test("to a mute server is io_error within the time named", async () => {
    const nbd = await open({}, { reconnectTimeoutMs: 200 });
    server.configure({ isMute: true });
    server.hangUpAll();
    await expect(nbd.read(0, 512)).rejects.toEqual(ioError(/no connection/));
  });

  test("that comes back with another size ends the source", async () => {
    const nbd = await open({ sizeBytes: 1 << 20 });
    server.configure({ sizeBytes: 1 << 19, onRequest: serveData });
    server.hangUpAll();
    await expect(nbd.read(0, 512)).rejects.toEqual(ioError(/524288 bytes after reconnecting, expected 1048576/));
    await expect(nbd.read(0, 512)).rejects.toEqual(ioError(/after reconnecting/));
  });

  test("a read that brings the server down each time is given up", async () => {
    const nbd = await open({
      onRequest: (request, peer) => (request.offset === 4096 ? peer.hangUp() : peer.write(dataChunk(request, true))),
    });
    await expect(nbd.read(4096, 512)).rejects.toEqual(ioError(/hung up|ECONNRESET|closed/));
    await nbd.read(0, 512);
    expect(server.connections).toBeLessThanOrEqual(4);
  });
});

describe("aborting", () => {
  test("ends a read that waits for its answer, which is dropped when it comes", async () => {
    const late: (() => void)[] = [];
    const nbd = await open({
      onRequest: (request, peer) => {
        if (late.length === 0) late.push(() => peer.write(dataChunk(request, true)));
        else peer.write(dataChunk(request, true));
      },
    });
    const controller = new AbortController();
    const target = Buffer.alloc(200_000, 0xee);
    const read = nbd.readInto(0, target, controller.signal);
    await until(() => late.length === 1);
    controller.abort(new Error("enough"));
    await expect(read).rejects.toThrow("enough");
    late[0]?.();
    await nbd.read(0, 100);
    expect(target.every((byte) => byte === 0xee)).toBe(true);
    expect(server.connections).toBe(1);
  });

  // Of 200,000 bytes a long rest is read straight into the caller's buffer, a short one by way of another.
  test.each([60_000, 195_000])("never leaves a buffer to a socket that still writes into it: %d bytes were there", async (sent) => {
    let answer: Buffer = Buffer.alloc(0);
    let write: (bytes: Uint8Array) => void = () => undefined;
    const nbd = await open({
      onRequest: (request, peer) => {
        answer = dataChunk(request, true);
        write = peer.write;
        write(request.length < 1000 ? answer : answer.subarray(0, sent));
      },
    });
    const controller = new AbortController();
    const target = Buffer.alloc(200_000);
    const read = nbd.readInto(0, target, controller.signal);
    await until(() => target[sent - 2000] !== 0 && target[sent - 2001] !== 0);
    const rest = answer.subarray(sent);
    controller.abort(new Error("enough"));
    setTimeout(() => write(rest.subarray(0, 1000)), 20);
    await expect(read).rejects.toThrow("enough");
    const before = Buffer.from(target);
    await new Promise((resolve) => setTimeout(resolve, 40));
    write(rest.subarray(1000));
    await nbd.read(0, 100);
    // What came while the caller still waited may be there; nothing after.
    expect(target.equals(before)).toBe(true);
    expect(server.connections).toBe(1);
  });

  test("ends even when the server stops in the middle of the answer", async () => {
    const nbd = await open({
      onRequest: (request, peer) => {
        const answer = dataChunk(request, true);
        peer.write(request.length < 1000 ? answer : answer.subarray(0, 60_000));
      },
    });
    const controller = new AbortController();
    const target = Buffer.alloc(200_000);
    const read = nbd.readInto(0, target, controller.signal);
    await until(() => target[50_000] !== 0);
    controller.abort(new Error("enough"));
    await expect(read).rejects.toThrow("enough");
    await nbd.read(0, 100);
  });

  test("takes a waiting read out of the line", async () => {
    const nbd = await open({}, { maxInFlightBytes: 1 });
    const first = nbd.readInto(0, Buffer.alloc(100_000)).catch(() => undefined);
    const controller = new AbortController();
    const second = nbd.readInto(0, Buffer.alloc(100_000), controller.signal);
    controller.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    await until(() => server.requests.length === 1);
    await nbd.close();
    await first;
    expect(server.requests).toHaveLength(1);
  });

  test("a signal that has fired already sends nothing", async () => {
    const nbd = await open({});
    await expect(nbd.readInto(0, Buffer.alloc(10), AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    await expect(nbd.extents(0, 10, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
    expect(server.requests).toEqual([]);
  });
});

describe("closing", () => {
  test("says goodbye when idle", async () => {
    const nbd = await open({ onRequest: serveData });
    await nbd.read(0, 10);
    await nbd.close();
    expect(server.requests.map((request) => request.type)).toEqual([0, 2]);
    await expect(nbd.read(0, 10)).rejects.toEqual(ioError(/closed/));
    await nbd.close();
  });

  test("fails what is under way", async () => {
    const nbd = await open({});
    const reads = [nbd.read(0, 10), nbd.readInto(0, Buffer.alloc(1 << 20)), nbd.extents(0, 10)];
    await until(() => server.requests.length === 4);
    const outcomes = Promise.allSettled(reads);
    await nbd.close();
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: ioError(/closed/) });
  });

  test("ends a reconnection", async () => {
    const nbd = await open({}, { reconnectTimeoutMs: 10_000 });
    server.configure({ isMute: true });
    server.hangUpAll();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const outcomes = Promise.allSettled([nbd.read(0, 10)]);
    await nbd.close();
    expect((await outcomes)[0]).toMatchObject({ reason: ioError(/closed/) });
  });
});
