import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Failure } from "../output/failure.ts";
import { downloadFile, type Downloaded } from "./download-file.ts";
import { OutputFolder } from "./output-folder.ts";
import { PartFile } from "./part-file.ts";

// Property: what a download leaves is the bytes of one version, whole, or it is not called whole.

let folder: string;
let output: OutputFolder;
let server: Server;
let url: string;
/** What the server does with the next request, and what it was asked. */
let answers: ((request: IncomingMessage, response: ServerResponse) => void)[];
let asked: (string | undefined)[];
/** Bytes that the client has. */
let taken: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pluck-download-"));
  output = await OutputFolder.openTop(folder);
  answers = [];
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.headers.range === undefined ? undefined : `${request.headers.range} ${String(request.headers["if-range"])}`);
    (answers.shift() ?? ((_, last) => last.writeHead(500).end()))(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await output.close();
  await rm(folder, { recursive: true, force: true });
});

const v1 = Buffer.from("0123456789".repeat(20_000));
const v2 = Buffer.from("abcdefghij".repeat(20_000));

/** As an agent answers; with `breakAfter` the connection breaks after so many bytes of it. */
function serve(bytes: Buffer, etag: string, { breakAfter, rangeIgnored = false }: { breakAfter?: number; rangeIgnored?: boolean } = {}) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? Number.NaN);
    const isRange = !Number.isNaN(from) && request.headers["if-range"] === etag && !rangeIgnored;
    if (isRange && from >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
      return;
    }
    const body = isRange ? bytes.subarray(from) : bytes;
    response.writeHead(isRange ? 206 : 200, { etag, "content-length": body.length, ...(isRange ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}) });
    if (breakAfter === undefined) response.end(body);
    else {
      // Broken off when the client has taken them: what it hasn't is lost with the connection.
      response.write(body.subarray(0, breakAfter));
      const until = (isRange ? from : 0) + breakAfter;
      const timer = setInterval(() => {
        if (taken < until) return;
        clearInterval(timer);
        response.destroy();
      }, 2);
    }
  };
}

function problem(status: number, code: string) {
  return (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ status, code, detail: `It is ${code}.` }));
  };
}

async function download(retries = 0, sizeBytes: number | undefined = v1.length): Promise<Downloaded & { shown: number }> {
  const part = await PartFile.open(output, Buffer.from("file"));
  taken = 0;
  try {
    const got = await downloadFile(
      part,
      { url: async () => url, sizeBytes, shown: "vm:0/p1/file", recover: async () => undefined },
      { retries, signal: new AbortController().signal, onBytes: (bytes) => (taken += bytes), onRetry: () => undefined },
    );
    await part.finish({ setAttributes: async () => undefined, onReplace: () => undefined, force: true });
    return { ...got, shown: taken };
  } finally {
    await part.close();
  }
}

const failure = async (work: Promise<unknown>): Promise<Failure["code"]> => await work.then(() => "none" as never, (error: Failure) => error.code);
const content = async (): Promise<Buffer> => await readFile(join(folder, "file"));

describe("a download", () => {
  it("goes on where it broke off, of the same version", async () => {
    answers.push(serve(v1, '"1"', { breakAfter: 70_000 }));
    expect(await failure(download())).toBe("incomplete");
    answers.push(serve(v1, '"1"'));
    const got = await download();
    expect(asked[1]).toBe('bytes=70000- "1"');
    expect(got.resumedBytes).toBe(70_000);
    expect(got.shown).toBe(v1.length);
    expect((await content()).equals(v1)).toBe(true);
  });

  it("goes on by itself, however often it breaks off, as long as something comes", async () => {
    for (let round = 0; round < 4; round += 1) answers.push(serve(v1, '"1"', { breakAfter: 40_000 }));
    answers.push(serve(v1, '"1"'));
    await download(1);
    expect((await content()).equals(v1)).toBe(true);
    expect(asked).toHaveLength(5);
  });

  it("begins anew when the version is another", async () => {
    answers.push(serve(v1, '"1"', { breakAfter: 70_000 }), serve(v2, '"2"'));
    const got = await download(2);
    expect((await content()).equals(v2)).toBe(true);
    expect(got.shown).toBe(v2.length);
  });

  it("takes no bytes of another version, whatever the server says", async () => {
    answers.push(serve(v1, '"1"', { breakAfter: 70_000 }));
    await failure(download());
    // A 206 with another ETag, one from another place, one that ends early.
    for (const [etag, from, end] of [['"2"', 70_000, v2.length], ['"1"', 150_000, v2.length], ['"1"', 0, 100]] as const) {
      answers.push((_, response) => response.writeHead(206, { etag, "content-length": end - from, "content-range": `bytes ${from}-${end - 1}/${v2.length}` }).end(v2.subarray(from, end)));
      expect(["file_changed", "bad_answer"]).toContain(await failure(download()));
    }
    answers.push(serve(v1, '"1"'));
    await download();
    expect((await content()).equals(v1)).toBe(true);
  });

  it("begins anew when the server ignores the range", async () => {
    answers.push(serve(v1, '"1"', { breakAfter: 70_000 }), serve(v1, '"1"', { rangeIgnored: true }));
    const got = await download(2);
    expect((await content()).equals(v1)).toBe(true);
    expect(got.shown).toBe(v1.length);
  });

  it("asks again for a part that is whole already, and keeps it only if the version is the same", async () => {
    for (const [bytes, etag] of [[v1, '"1"'], [v2, '"2"']] as const) {
      const part = await PartFile.open(output, Buffer.from("file"));
      await part.restart('"1"');
      await part.append(v1);
      await part.flush();
      await part.close();
      answers.push(serve(bytes, etag));
      await download();
      expect((await content()).equals(bytes)).toBe(true);
    }
    expect(asked[0]).toBe(`bytes=${v1.length - 1}- "1"`);
  });

  it("begins anew when the part is longer than the file", async () => {
    const part = await PartFile.open(output, Buffer.from("file"));
    await part.restart('"1"');
    await part.append(Buffer.concat([v2, v2]));
    await part.flush();
    await part.close();
    answers.push(serve(v1, '"1"'), serve(v1, '"1"'));
    await download();
    expect((await content()).equals(v1)).toBe(true);
  });

  it("is no success when the folder said another size", async () => {
    answers.push(serve(v1, '"1"'));
    expect(await failure(download(0, 10))).toBe("file_changed");
  });

  it("takes an empty file", async () => {
    answers.push(serve(Buffer.alloc(0), '"1"'));
    await download(0, 0);
    expect(await content()).toHaveLength(0);
  });

  it("tries again what may pass, and nothing else", async () => {
    answers.push(problem(503, "agent_offline"), serve(v1, '"1"'));
    await download(1);
    expect((await content()).equals(v1)).toBe(true);
    for (const code of ["corrupt", "path_not_found", "volume_locked", "backup_in_use"]) {
      answers.push(problem(422, code), serve(v1, '"1"'));
      expect(await failure(download(3))).toBe(code);
      answers.pop();
    }
  });

  it("keeps what came when bytes further on can't be read", async () => {
    answers.push(serve(v1, '"1"', { breakAfter: 70_000 }), problem(422, "corrupt"));
    expect(await failure(download(3))).toBe("corrupt");
    const part = await PartFile.open(output, Buffer.from("file"));
    expect(part.lengthBytes).toBe(70_000);
    await part.close();
  });

  it("is no file when there is no ETag: a folder would come as zip", async () => {
    answers.push((_, response) => response.writeHead(200, { "content-length": 3 }).end("zip"));
    expect(await failure(download())).toBe("bad_answer");
  });
});
