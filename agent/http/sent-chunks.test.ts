import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { SentChunks } from "./sent-chunks.ts";

const mebibyte = 1024 * 1024;

/** Runs `answer` on a real response whose client reads only when told. */
async function withResponse(answer: (outgoing: ServerResponse, readAll: () => Promise<void>) => Promise<void>): Promise<void> {
  const done = Promise.withResolvers<void>();
  const client = Promise.withResolvers<import("node:http").IncomingMessage>();
  const server = createServer((_, outgoing) => {
    const readAll = async (): Promise<void> => void (await client.promise).resume();
    answer(outgoing, readAll).then(done.resolve, done.reject).finally(() => outgoing.destroy());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  request({ port, host: "127.0.0.1" }, client.resolve).on("error", () => undefined).end();
  await done.promise;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

describe("SentChunks", () => {
  it("gives nothing back that was not written, whatever was asked for meanwhile", async () => {
    await withResponse(async (outgoing) => {
      const back: Uint8Array[] = [];
      const sent = new SentChunks(outgoing, (chunk) => back.push(chunk));
      // As an adapter does that reads a few chunks before it writes the first.
      for (let count = 0; count < 5; count += 1) {
        sent.gave(Buffer.alloc(mebibyte));
        sent.collect();
      }
      expect(back).toEqual([]);
    });
  });

  it("gives nothing back that waits for a client, and all but the last once the client has it", async () => {
    await withResponse(async (outgoing, readAll) => {
      const back: Uint8Array[] = [];
      const sent = new SentChunks(outgoing, (chunk) => back.push(chunk));
      outgoing.writeHead(200);
      const chunks = Array.from({ length: 40 }, () => Buffer.alloc(mebibyte));
      for (const chunk of chunks) {
        sent.gave(chunk);
        outgoing.write(chunk);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      sent.collect();
      // The system's buffers take some megabytes; the rest is still ours.
      expect(back.length).toBeLessThan(chunks.length - 1);
      await readAll();
      while (outgoing.writableLength > 0) await new Promise((resolve) => setTimeout(resolve, 5));
      sent.collect();
      // In the order given; the last may still be headers, for all that the socket tells.
      expect(back.map((chunk) => chunks.findIndex((other) => other === chunk))).toEqual([...back.keys()]);
      expect(back.length).toBeGreaterThanOrEqual(chunks.length - 1);
    });
  });

  it("without a socket, gives nothing back", () => {
    const sent = new SentChunks(undefined, () => expect.unreachable());
    sent.gave(Buffer.alloc(mebibyte));
    sent.collect();
  });
});
