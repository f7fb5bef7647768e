import { dropRefusedToken, token } from "../state/session.ts";
import { asApiError, isAbort, toApiError } from "./problem.ts";

export interface CallOptions {
  readonly method?: "GET" | "POST" | "DELETE";
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** Instead of the one of the session: signing in tries one out. */
  readonly token?: string;
}

/**
 * Calls the coordinator's REST API. The token goes as a header and never as a cookie, so another
 * site's page can't make calls in its name.
 * @param path below /api/v1, percent-encoded
 * @returns the JSON of the answer; undefined for 204
 * @throws ApiError; an AbortError when the signal fires. A refused token ends the session.
 */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const used = options.token ?? token.value;
  const response = await send(`/api/v1${path}`, {
    method: options.method ?? "GET",
    headers: {
      ...(used === null ? {} : { Authorization: `Bearer ${used}` }),
      ...(options.body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  if (!response.ok) {
    if (response.status === 401 && options.token === undefined) dropRefusedToken(used);
    throw await toApiError(response);
  }
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

/** Fetches a signed link from an agent: no token, no cookie. @throws ApiError, AbortError */
export async function fetchLink(url: string, init: { signal?: AbortSignal; range?: string; ifRange?: string; method?: "GET" | "HEAD" } = {}): Promise<Response> {
  const response = await send(url, {
    method: init.method ?? "GET",
    credentials: "omit",
    cache: "no-store",
    headers: { ...(init.range === undefined ? {} : { Range: init.range }), ...(init.ifRange === undefined ? {} : { "If-Range": init.ifRange }) },
    ...(init.signal === undefined ? {} : { signal: init.signal }),
  });
  if (!response.ok) throw await toApiError(response);
  return response;
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw asApiError(error);
  }
}
