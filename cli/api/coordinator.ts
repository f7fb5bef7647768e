import { setTimeout as sleep } from "node:timers/promises";
import { Failure, isKnownCode } from "../output/failure.ts";
import type { Login } from "../settings/settings.ts";
import type { Agent, Backup, BackupList, CreatedLink, Event, EventList, Mount, Repository, ScanResult, Vm } from "./types.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A coordinator that gives no answer within this is as good as gone; opening a slow disk takes the longest. */
const answerTimeoutMs = 120_000;
const maxPage = 1000;

/** The REST API. Errors are Failures with the API's code, or `unreachable`. */
export class Coordinator {
  readonly url: string;
  readonly #token: string;
  readonly #signal: AbortSignal;

  /** @param signal ends every call, but those that say otherwise */
  constructor({ url, token }: Login, signal: AbortSignal) {
    this.url = url;
    this.#token = token;
    this.#signal = signal;
  }

  async session(): Promise<{ name: string; role: string }> {
    return await this.get("/session");
  }

  /** All VMs that match, in order. */
  async *vms(search: string | undefined): AsyncGenerator<Vm> {
    for await (const page of this.#pages<{ vms: Vm[]; next?: string }>("/vms", { search })) yield* page.vms;
  }

  /** All restore points of one VM, the newest first. */
  async backups(vm: string): Promise<Backup[]> {
    const found: Backup[] = [];
    for await (const page of this.#pages<BackupList>("/backups", { vm_name: vm })) found.push(...page.backups);
    return found;
  }

  async backup(id: string): Promise<Backup> {
    return await this.get(`/backups/${encodeURIComponent(id)}`);
  }

  async agents(): Promise<Agent[]> {
    return (await this.get<{ agents: Agent[] }>("/agents")).agents;
  }

  async repositories(): Promise<Repository[]> {
    return (await this.get<{ repositories: Repository[] }>("/repositories")).repositories;
  }

  async mounts(): Promise<Mount[]> {
    return (await this.get<{ mounts: Mount[] }>("/restore/mounts")).mounts;
  }

  async mount(id: string): Promise<Mount> {
    return await this.get(`/restore/${encodeURIComponent(id)}`);
  }

  /** Also while the command is being interrupted. */
  async endMount(id: string, signal: AbortSignal = this.#signal): Promise<void> {
    await this.call("DELETE", `/restore/${encodeURIComponent(id)}`, undefined, signal);
  }

  async scan(repositoryId: string): Promise<ScanResult> {
    return (await this.call("POST", `/repositories/${encodeURIComponent(repositoryId)}/scan`)).body as ScanResult;
  }

  async unlock(mountId: string, body: { volume: string; passphrase?: string; key?: string }): Promise<Mount> {
    return (await this.call("POST", `/restore/${encodeURIComponent(mountId)}/unlock`, body)).body as Mount;
  }

  async link(mountId: string, body: Record<string, unknown>): Promise<CreatedLink> {
    return (await this.call("POST", `/restore/${encodeURIComponent(mountId)}/links`, body)).body as CreatedLink;
  }

  /** @param limit how many at most, over all pages */
  async events(filter: Record<string, string | undefined>, limit: number): Promise<Event[]> {
    const found: Event[] = [];
    for await (const page of this.#pages<EventList>("/events", filter, Math.min(limit, maxPage))) {
      found.push(...page.events);
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  async get<T>(path: string): Promise<T> {
    return (await this.call("GET", path)).body as T;
  }

  async call(method: string, path: string, body?: unknown, signal: AbortSignal = this.#signal): Promise<Answer> {
    const url = `${this.url}/api/v1${path}`;
    const response = await reach(url, {
      method,
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]),
      headers: { authorization: `Bearer ${this.#token}`, accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (response.status >= 300) {
      if (response.status === 307 && response.headers.has("location")) return { status: 307, headers: response.headers, body: undefined };
      throw await problemOf(response);
    }
    if (response.status === 204) return { status: 204, headers: response.headers, body: undefined };
    return { status: response.status, headers: response.headers, body: await jsonOf(response) };
  }

  async #get<T>(path: string, query: Record<string, string | undefined>): Promise<T> {
    const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
    return await this.get<T>(`${path}?${new URLSearchParams(given)}`);
  }

  async *#pages<T extends { next?: string | undefined }>(path: string, query: Record<string, string | undefined>, limit = maxPage): AsyncGenerator<T> {
    let cursor: string | undefined;
    do {
      const page: T = await this.#get<T>(path, { ...query, limit: String(limit), cursor });
      yield page;
      cursor = page.next;
    } while (cursor !== undefined);
  }
}

/** fetch, whose errors say what could not be reached and why. */
export async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    throw toReachFailure(url, error, init.signal ?? undefined);
  }
}

/** What an error of fetch, or of reading its body, means. */
export function toReachFailure(url: string, error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof Failure) return error;
  if (signal?.aborted === true && signal.reason instanceof Failure) return signal.reason;
  const { origin } = new URL(url);
  if (error instanceof Error && error.name === "TimeoutError") return new Failure("unreachable", `${origin} did not answer in time.`, undefined, { cause: error });
  const cause = (error as { cause?: unknown }).cause;
  const why = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : error instanceof Error ? error.message : String(error);
  return new Failure("unreachable", `${origin} can't be reached (${reasons[why] ?? why}).`, undefined, { cause: error });
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name can't be looked up now",
  EHOSTUNREACH: "no way to the host",
  ENETUNREACH: "no way to the network",
  ETIMEDOUT: "no answer",
  UND_ERR_CONNECT_TIMEOUT: "no answer",
  UND_ERR_SOCKET: "the connection broke off",
  ECONNRESET: "the connection broke off",
  CERT_HAS_EXPIRED: "its certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed; NODE_EXTRA_CA_CERTS names a file with yours",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is of an unknown authority; NODE_EXTRA_CA_CERTS names a file with yours",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is of an unknown authority; NODE_EXTRA_CA_CERTS names a file with yours",
};

/** The problem document of an answer that is no success. */
export async function problemOf(response: Response): Promise<Failure> {
  const text = await response.text().catch(() => "");
  const problem = parseJson(text) as { code?: unknown; detail?: unknown; request_id?: unknown } | undefined;
  if (typeof problem?.code !== "string" || typeof problem.detail !== "string") {
    return new Failure("bad_answer", `${new URL(response.url).origin} answered ${response.status}, and not as a Pluck does.`);
  }
  const retryAfterS = Number(response.headers.get("retry-after") ?? Number.NaN);
  const request = problem.code === "internal" && typeof problem.request_id === "string" ? ` Request id: ${problem.request_id}.` : "";
  return new Failure(isKnownCode(problem.code) ? problem.code : "internal", `${problem.detail}${request}`, undefined, Number.isFinite(retryAfterS) ? { retryAfterS } : {});
}

export async function jsonOf(response: Response): Promise<unknown> {
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw toReachFailure(response.url, error);
  }
  const value = parseJson(text);
  if (typeof value !== "object" || value === null) throw new Failure("bad_answer", `${new URL(response.url).origin} answered something other than a Pluck does.`);
  return value;
}

/** Waits, unless the command ends. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
