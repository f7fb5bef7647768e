import type { NbdRequest } from "./request.ts";

/** QEMU takes up to 16 requests of a client at a time; more would only wait in the socket, unordered. */
const MAX_REQUESTS = 16;
/** Reads up to this size are metadata: they pass large ones, and some places are theirs alone. */
const URGENT_BYTES = 64 * 1024;
const URGENT_PLACES = 4;

/** Requests that wait, and those under way: decides what may be sent next. */
export class RequestQueue {
  readonly #maxBulkBytes: number;
  #urgent: NbdRequest[] = [];
  #bulk: NbdRequest[] = [];
  readonly #sent = new Set<NbdRequest>();
  #bulkSent = 0;
  #bulkBytesSent = 0;

  /** @param maxBulkBytes bytes of large reads under way at a time; one read is always let through */
  constructor(maxBulkBytes: number) {
    this.#maxBulkBytes = maxBulkBytes;
  }

  get isWaiting(): boolean {
    return this.#urgent.length + this.#bulk.length > 0;
  }

  push(request: NbdRequest): void {
    (isBulk(request) ? this.#bulk : this.#urgent).push(request);
  }

  /** The next request that has room; it counts as sent from here on. */
  take(): NbdRequest | undefined {
    if (this.#sent.size >= MAX_REQUESTS) return undefined;
    const request = this.#urgent.shift() ?? this.#takeBulk();
    if (request !== undefined) this.#sent.add(request);
    return request;
  }

  #takeBulk(): NbdRequest | undefined {
    const [request] = this.#bulk;
    if (request === undefined || this.#bulkSent >= MAX_REQUESTS - URGENT_PLACES) return undefined;
    if (this.#bulkSent > 0 && this.#bulkBytesSent + request.length > this.#maxBulkBytes) return undefined;
    this.#bulk.shift();
    this.#bulkSent += 1;
    this.#bulkBytesSent += request.length;
    return request;
  }

  isSent(request: NbdRequest): boolean {
    return this.#sent.has(request);
  }

  answered(request: NbdRequest): void {
    if (!this.#sent.delete(request) || !isBulk(request)) return;
    this.#bulkSent -= 1;
    this.#bulkBytesSent -= request.length;
  }

  /** The connection is gone: nothing is under way any more, and these wait again, before all others. */
  returned(requests: readonly NbdRequest[]): void {
    this.#sent.clear();
    this.#bulkSent = 0;
    this.#bulkBytesSent = 0;
    this.#urgent = [...requests.filter((request) => !isBulk(request)), ...this.#urgent];
    this.#bulk = [...requests.filter(isBulk), ...this.#bulk];
  }

  remove(request: NbdRequest): void {
    const others = (waiting: NbdRequest[]) => waiting.filter((other) => other !== request);
    if (isBulk(request)) this.#bulk = others(this.#bulk);
    else this.#urgent = others(this.#urgent);
  }

  /** Empties the waiting lines. */
  drain(): NbdRequest[] {
    const waiting = [...this.#urgent, ...this.#bulk];
    this.#urgent = [];
    this.#bulk = [];
    return waiting;
  }
}

function isBulk(request: NbdRequest): boolean {
  return request.target !== undefined && request.length > URGENT_BYTES;
}
