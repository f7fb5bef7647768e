import { expect, test } from "vitest";
import { RequestQueue } from "./request-queue.ts";
import { NbdRequest } from "./request.ts";

const KIB = 1024;
const small = () => new NbdRequest(0, 4 * KIB, new Uint8Array(4 * KIB));
const large = () => new NbdRequest(0, 100 * KIB, new Uint8Array(100 * KIB));
const status = () => new NbdRequest(0, 2 ** 31, undefined);

function queueOf(maxBulkBytes: number, ...requests: NbdRequest[]): RequestQueue {
  const queue = new RequestQueue(maxBulkBytes);
  for (const request of requests) queue.push(request);
  return queue;
}

function takeAll(queue: RequestQueue): NbdRequest[] {
  const taken: NbdRequest[] = [];
  for (let request = queue.take(); request !== undefined; request = queue.take()) taken.push(request);
  return taken;
}

test("metadata goes before large reads, each kind in its order", () => {
  const [first, second, third, fourth] = [large(), small(), large(), status()];
  expect(takeAll(queueOf(1e9, first, second, third, fourth))).toEqual([second, fourth, first, third]);
});

test("keeps large reads within their bytes, and goes on as answers come", () => {
  const requests = [large(), large(), large(), large()];
  const queue = queueOf(250 * KIB, ...requests);
  expect(takeAll(queue)).toEqual(requests.slice(0, 2));
  queue.answered(requests[0]!);
  expect(takeAll(queue)).toEqual([requests[2]]);
  queue.answered(requests[0]!);
  expect(takeAll(queue)).toEqual([]);
  queue.answered(requests[1]!);
  expect(takeAll(queue)).toEqual([requests[3]]);
});

test("lets one large read through however small the limit", () => {
  const requests = [large(), large()];
  expect(takeAll(queueOf(1, ...requests))).toEqual([requests[0]]);
});

test("sends 16 requests at a time, and keeps four places free of large ones", () => {
  const queue = queueOf(1e9, ...Array.from({ length: 20 }, large));
  expect(takeAll(queue)).toHaveLength(12);
  for (let count = 0; count < 20; count += 1) queue.push(small());
  expect(takeAll(queue)).toHaveLength(4);
});

test("after a loss what was under way goes first", () => {
  const requests = [large(), small(), large()];
  const queue = queueOf(100 * KIB, ...requests);
  const sent = takeAll(queue);
  expect(sent).toEqual([requests[1], requests[0]]);
  const later = small();
  queue.push(later);
  queue.returned(sent);
  expect(takeAll(queue)).toEqual([requests[1], later, requests[0]]);
});

test("a removed request is never sent, and draining empties the lines", () => {
  const requests = [large(), small(), large(), small()];
  const queue = queueOf(1e9, ...requests);
  queue.remove(requests[0]!);
  queue.remove(requests[1]!);
  expect(queue.drain()).toEqual([requests[3], requests[2]]);
  expect(queue.isWaiting).toBe(false);
  expect(takeAll(queue)).toEqual([]);
});
