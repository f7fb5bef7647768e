import type { Context as HonoContext } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { PluckError, toProblem } from "../../shared/errors.ts";
import { isDatabaseUnavailable } from "../database/connect.ts";

/** Seconds after which a database that went away is worth another try. */
const databaseRetryAfterS = 5;

/** The answer for anything thrown: an RFC 9457 problem document, never the inside. */
export function problemResponse(c: HonoContext, error: unknown, requestId: string | undefined): Response {
  const shown = toPluckError(error);
  const problem = toProblem(shown, requestId);
  c.header("Content-Type", "application/problem+json");
  c.header("Cache-Control", "no-store");
  if (shown instanceof PluckError && shown.retryAfterS !== undefined) c.header("Retry-After", String(Math.ceil(shown.retryAfterS)));
  if (problem.code === "unauthenticated") c.header("WWW-Authenticate", 'Bearer realm="pluck"');
  return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode);
}

export function toPluckError(error: unknown): unknown {
  if (error instanceof PluckError) return error;
  if (isDatabaseUnavailable(error)) {
    return new PluckError("database_unavailable", "The coordinator can't reach its database just now; try again shortly.", { retryAfterS: databaseRetryAfterS, cause: error });
  }
  if (error instanceof HTTPException) {
    if (error.status === 415) return new PluckError("invalid_request", "The body must be JSON, sent with the header Content-Type: application/json.");
    if (error.status === 413) return new PluckError("body_too_large", "The body is too large.");
    if (error.status === 400) return new PluckError("invalid_request", `${error.message.replace(/\.$/, "")}.`);
  }
  return error;
}
