import { DiskError } from "../blocks/disk-error.ts";
import { Coverage } from "./coverage.ts";
import type { StatusDescriptor } from "./protocol.ts";

/**
 * One request from its call to its answer; it may travel over several connections, one after another,
 * when they are lost. Its promise settles once, and only when no socket writes into `target` any more.
 */
export class NbdRequest {
  /** A read when there is a target, else a block status request. */
  readonly target: Uint8Array | undefined;
  readonly offset: number;
  readonly length: number;
  readonly promise: Promise<StatusDescriptor[]>;
  /** Connections lost while this request was on its way. */
  losses = 0;
  /** The caller has gone: what still arrives is dropped. */
  abandoned = false;
  settled = false;
  /** Progress on the present connection. */
  coverage: Coverage;
  descriptors: StatusDescriptor[] = [];
  error: string | undefined;
  readonly #resolvers = Promise.withResolvers<StatusDescriptor[]>();

  constructor(offset: number, length: number, target: Uint8Array | undefined) {
    this.offset = offset;
    this.length = length;
    this.target = target;
    this.coverage = new Coverage(length);
    this.promise = this.#resolvers.promise;
  }

  /** Forgets what a lost connection has brought so far. */
  restart(): void {
    this.coverage = new Coverage(this.length);
    this.descriptors = [];
    this.error = undefined;
  }

  resolve(): void {
    this.settled = true;
    this.#resolvers.resolve(this.descriptors);
  }

  reject(error: unknown): void {
    this.settled = true;
    this.#resolvers.reject(error);
  }

  /** This request's own failure, told apart from every other's. */
  toError(why: string, cause?: unknown): DiskError {
    const what = this.target === undefined ? "block status" : "read";
    const message = `NBD ${what} of ${this.length} bytes at byte ${this.offset}: ${why}`;
    return new DiskError("io_error", message, cause === undefined ? undefined : { cause });
  }
}
