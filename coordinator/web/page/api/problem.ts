/** What went wrong, as the REST API says it: a stable code, and a sentence for people. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterS: number | undefined;

  constructor(code: string, detail: string, status: number, retryAfterS?: number) {
    super(detail);
    this.code = code;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** The error of an answer that is not ok. */
export async function toApiError(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get("Retry-After"));
  const retryAfterS = Number.isInteger(retryAfter) && retryAfter > 0 ? retryAfter : undefined;
  const problem: unknown = await response.json().catch(() => undefined);
  if (typeof problem === "object" && problem !== null && "code" in problem && typeof problem.code === "string") {
    const detail = "detail" in problem && typeof problem.detail === "string" ? problem.detail : problem.code;
    return new ApiError(problem.code, detail, response.status, retryAfterS);
  }
  // Not one of ours: a proxy in between.
  return new ApiError(`http_${response.status}`, response.statusText, response.status, retryAfterS);
}

/** A fetch that got no answer: the server, or the way to it, is down. */
export const unreachable = "unreachable";

/** Any thrown value as an ApiError; an AbortError passes through by the caller's own check. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof TypeError) return new ApiError(unreachable, error.message, 0);
  return new ApiError("page_failed", error instanceof Error ? error.message : String(error), 0);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
