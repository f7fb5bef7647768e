import { once } from "node:events";
import { Browser } from "./api/browse.ts";
import { Coordinator } from "./api/coordinator.ts";
import { OwnMounts } from "./api/mounts.ts";
import { Catalog, type ResolvedDisk } from "./api/resolve.ts";
import type { Mount } from "./api/types.ts";
import { escapeSentence } from "./names/escape.ts";
import { parseRemote, type Remote, type RemoteContext } from "./names/remote.ts";
import { Failure } from "./output/failure.ts";
import { readLogin } from "./settings/settings.ts";

/** Options that every command has, or every one that takes remote names. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
  readonly vm?: string;
  readonly backup?: string;
}

/** What a command works with. */
export class Session {
  readonly options: CommonOptions;
  readonly signal: AbortSignal;
  readonly coordinator: Coordinator;
  readonly catalog: Catalog;
  readonly mounts: OwnMounts;

  constructor(options: CommonOptions, coordinator: Coordinator, signal: AbortSignal) {
    this.options = options;
    this.signal = signal;
    this.coordinator = coordinator;
    this.catalog = new Catalog(coordinator);
    this.mounts = new OwnMounts(coordinator, signal);
  }

  get json(): boolean {
    return this.options.json === true;
  }

  parse(name: string): Remote {
    const context: RemoteContext = { vm: this.options.vm, backup: this.options.backup };
    return parseRemote(name, context);
  }

  async resolve(name: string): Promise<ResolvedDisk> {
    return await this.catalog.resolveDisk(this.parse(name));
  }

  /** Opens the disk for this command, or finds it open. */
  async open({ backup, disk }: ResolvedDisk, waitS = 0): Promise<{ mount: Mount; browser: Browser }> {
    const open = async (): Promise<Mount> => await this.mounts.open(backup, disk, { waitS, onWait: () => note("All export slots are taken; waiting for one.") });
    const mount = await open();
    return { mount, browser: new Browser(this.coordinator, mount, open, this.signal) };
  }
}

/** Runs a command against the coordinator and ends the mounts it opened, whatever comes. */
export async function withSession<T>(options: CommonOptions, signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
  if (options.vm !== undefined && options.vm === "") throw new Failure("usage", "--vm needs a name.");
  const session = new Session(options, new Coordinator(await readLogin(options.url), signal), signal);
  try {
    return await work(session);
  } finally {
    await session.mounts.endAll();
  }
}

/** Shared by all who wait for stdout. */
let drained: Promise<unknown> | undefined;

/** To stdout, at the reader's pace. */
export async function print(text: string | Uint8Array): Promise<void> {
  if (process.stdout.write(text)) return;
  drained ??= once(process.stdout, "drain").finally(() => {
    drained = undefined;
  });
  await drained;
}

/** One JSON document, readable; streams of them are a line each. */
export async function printJson(value: unknown): Promise<void> {
  await print(`${JSON.stringify(value, null, 2)}\n`);
}

export async function printJsonLine(value: unknown): Promise<void> {
  await print(`${JSON.stringify(value)}\n`);
}

/** A remark to whoever sits there: stderr, one line. */
export function note(text: string): void {
  process.stderr.write(`${escapeSentence(text)}\n`);
}
