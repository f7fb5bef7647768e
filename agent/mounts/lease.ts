import type { DiskReader } from "../reader/disk-reader.ts";
import type { OpenMount, OpenRequest } from "./open-mount.ts";

/** What changes while a mount is open. */
interface Access {
  jwks: OpenMount["jwks"];
  webOrigin: string | null;
  lastAccessedAt: Date;
  transfers: number;
}

/** One mount from the moment its slot is taken until the slot is given back. */
export class Lease {
  readonly mountId: string;
  readonly nbdDevice: string;
  readonly qcow2Path: string;
  readonly siblingPaths: readonly string[];
  readonly #now: () => Date;
  readonly #ended = new AbortController();
  /** What has to be closed, the last opened first. */
  readonly #closers: (() => Promise<void>)[] = [];
  #assertUnchanged: () => Promise<void> = async () => undefined;
  readonly #access: Access;
  #mount: OpenMount | undefined;
  #opened: Promise<OpenMount> | undefined;
  #ending: Promise<void> | undefined;

  constructor(request: OpenRequest, nbdDevice: string, now: () => Date) {
    this.mountId = request.mountId;
    this.qcow2Path = request.qcow2Path;
    this.siblingPaths = request.siblingPaths ?? [];
    this.nbdDevice = nbdDevice;
    this.#now = now;
    this.#access = { jwks: request.jwks, webOrigin: request.webOrigin, lastAccessedAt: now(), transfers: 0 };
  }

  /** The mount when it is open and not ending. */
  get mount(): OpenMount | undefined {
    return this.#ending === undefined ? this.#mount : undefined;
  }

  /** Resolves when it is open. */
  get opened(): Promise<OpenMount> {
    if (this.#opened === undefined) throw new Error("the lease was not started");
    return this.#opened;
  }

  /** Set from the moment it ends; resolves when everything is given back. */
  get ending(): Promise<void> | undefined {
    return this.#ending;
  }

  start(open: (signal: AbortSignal) => Promise<DiskReader>): void {
    const { signal } = this.#ended;
    this.#opened = open(signal).then((reader) => {
      this.#mount = this.#toMount(reader);
      return this.#mount;
    });
    this.#opened.catch(() => undefined);
  }

  /** New keys and another origin take the place of the old ones. */
  allow(jwks: OpenMount["jwks"], webOrigin: string | null): void {
    this.#access.jwks = jwks;
    this.#access.webOrigin = webOrigin;
  }

  /** How to tell whether the disk's files changed. */
  guardBy(assertUnchanged: () => Promise<void>): void {
    this.#assertUnchanged = assertUnchanged;
  }

  onClose(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  /** Breaks off what runs and gives everything back; also in the middle of opening. Idempotent. */
  end(reason: Error): Promise<void> {
    this.#ending ??= this.#end(reason);
    return this.#ending;
  }

  async #end(reason: Error): Promise<void> {
    this.#ended.abort(reason);
    await this.#opened?.catch(() => undefined);
    await this.release();
  }

  async release(): Promise<void> {
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) await close();
  }

  #toMount(reader: DiskReader): OpenMount {
    const access = this.#access;
    return {
      mountId: this.mountId,
      nbdDevice: this.nbdDevice,
      qcow2Path: this.qcow2Path,
      reader,
      ended: this.#ended.signal,
      get jwks() {
        return access.jwks;
      },
      get webOrigin() {
        return access.webOrigin;
      },
      get lastAccessedAt() {
        return access.lastAccessedAt;
      },
      get transfers() {
        return access.transfers;
      },
      assertUnchanged: () => this.#assertUnchanged(),
      touch: () => this.#touch(),
      beginTransfer: () => this.#beginTransfer(),
    };
  }

  #touch(): void {
    this.#access.lastAccessedAt = this.#now();
  }

  #beginTransfer(): () => void {
    this.#touch();
    this.#access.transfers += 1;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#access.transfers -= 1;
      this.#touch();
    };
  }
}
