/**
 * The stable error codes: what REST clients, MQTT replies and people hold on to. One row a code:
 * its HTTP status and its title. What each means and what to do: docs/errors.md.
 */
export const errorCodes = {
  backup_not_found: { status: 404, title: "No such backup" },
  disk_not_found: { status: 404, title: "The backup has no such disk" },
  mount_not_found: { status: 404, title: "No such mount" },
  repository_not_found: { status: 404, title: "No such repository" },
  agent_not_found: { status: 404, title: "No such agent" },
  path_not_found: { status: 404, title: "No such file or folder" },
  not_found: { status: 404, title: "No such resource" },
  not_a_directory: { status: 409, title: "Not a folder" },
  not_a_file: { status: 409, title: "Not a regular file" },
  volume_locked: { status: 409, title: "The volume is encrypted and locked" },
  wrong_key: { status: 403, title: "The passphrase or key is wrong" },
  too_many_attempts: { status: 429, title: "Too many wrong keys" },
  backup_exists: { status: 409, title: "The backup is registered already, and differs" },
  backup_incomplete: { status: 409, title: "The backup is not complete" },
  backup_in_use: { status: 409, title: "The backup is being written" },
  qcow2_missing: { status: 404, title: "A qcow2 file is missing" },
  chain_outside_repository: { status: 422, title: "The backing chain leaves the repository" },
  nbd_devices_exhausted: { status: 503, title: "All export slots are taken" },
  agent_offline: { status: 503, title: "The agent is offline" },
  agent_timeout: { status: 504, title: "The agent did not answer in time" },
  unsupported: { status: 422, title: "Not supported" },
  corrupt: { status: 422, title: "The disk is damaged here" },
  io_error: { status: 502, title: "The storage failed to read" },
  link_expired: { status: 403, title: "The link has expired" },
  link_invalid: { status: 403, title: "The link is not valid" },
  unauthenticated: { status: 401, title: "Sign in first" },
  forbidden: { status: 403, title: "Not allowed" },
  precondition_failed: { status: 412, title: "The file is not the one asked for" },
  range_not_satisfiable: { status: 416, title: "The range lies outside the file" },
  invalid_request: { status: 400, title: "The request is not valid" },
  method_not_allowed: { status: 405, title: "Not with this method" },
  body_too_large: { status: 413, title: "The request is too large" },
  database_unavailable: { status: 503, title: "The database is not reachable" },
  internal: { status: 500, title: "Something went wrong here" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof errorCodes;

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorCodes, code);
}

/** An error that may be shown to the user as it stands: a code, and a sentence that says what was wrong and what would be right. */
export class PluckError extends Error {
  override readonly name = "PluckError";
  readonly code: ErrorCode;
  /** Further members of the problem document, e.g. `{ disk_indexes: [0, 1] }`. */
  readonly extra: Readonly<Record<string, unknown>>;
  /** Seconds after which a retry makes sense; sent as Retry-After. */
  readonly retryAfterS: number | undefined;

  constructor(
    code: ErrorCode,
    detail: string,
    options: { cause?: unknown; extra?: Record<string, unknown>; retryAfterS?: number } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.extra = options.extra ?? {};
    this.retryAfterS = options.retryAfterS;
  }
}

/** An RFC 9457 problem document (application/problem+json). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly request_id?: string;
  readonly [member: string]: unknown;
}

/**
 * The problem document of any thrown value. What is not a PluckError becomes `internal`, with the
 * request id and nothing of the inside; the caller logs the original.
 */
export function toProblem(error: unknown, requestId?: string): Problem {
  const code: ErrorCode = error instanceof PluckError ? error.code : "internal";
  const { status, title } = errorCodes[code];
  const detail =
    error instanceof PluckError
      ? error.message
      : "An unexpected error; give the request id to whoever runs this server: the log has the cause.";
  return {
    ...(error instanceof PluckError ? error.extra : {}),
    type: `urn:pluck:error:${code}`,
    title,
    status,
    code,
    detail,
    ...(requestId === undefined ? {} : { request_id: requestId }),
  };
}

/** An error as it crosses MQTT or a worker boundary. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly extra?: Record<string, unknown>;
  readonly retry_after_s?: number;
}

/** What is not a PluckError crosses as `internal`, without its message. */
export function toErrorBody(error: unknown): ErrorBody {
  if (!(error instanceof PluckError)) return { code: "internal", detail: errorCodes.internal.title };
  return {
    code: error.code,
    detail: error.message,
    ...(Object.keys(error.extra).length > 0 ? { extra: { ...error.extra } } : {}),
    ...(error.retryAfterS === undefined ? {} : { retry_after_s: error.retryAfterS }),
  };
}

export function fromErrorBody(body: { code: string; detail: string; extra?: Record<string, unknown>; retry_after_s?: number }): PluckError {
  const code = isErrorCode(body.code) ? body.code : "internal";
  return new PluckError(code, body.detail, {
    ...(body.extra === undefined ? {} : { extra: body.extra }),
    ...(body.retry_after_s === undefined ? {} : { retryAfterS: body.retry_after_s }),
  });
}
