import { OpenAPIHono, type Hook } from "@hono/zod-openapi";
import type { Env } from "hono";
import type { $ZodIssue } from "zod/v4/core";
import { problemSchema } from "../../shared/api.ts";
import { errorCodes, PluckError, type ErrorCode } from "../../shared/errors.ts";
import type { Context } from "../context.ts";

/** What the middleware in app.ts puts before every route under /api/v1. */
export interface AppEnv extends Env {
  Variables: {
    /** With the actor of this request. */
    ctx: Context;
    requestId: string;
  };
}

/** A router whose failed validations become `invalid_request` problems that name the field and what would be right. */
export function createRouter(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({ defaultHook: refuseInvalid as Hook<unknown, AppEnv, string, unknown> });
}

function refuseInvalid(result: { success: boolean; target: string; error?: { issues: readonly $ZodIssue[] } }): void {
  if (result.success || result.error === undefined) return;
  throw toInvalidRequest(result.error.issues, result.target);
}

const targets: Record<string, string> = { json: "body", query: "query", param: "path", header: "header" };
/** A body of a thousand wrong lines needs no answer of a thousand. */
const maxIssues = 10;

export function toInvalidRequest(issues: readonly $ZodIssue[], target: string): PluckError {
  const where = targets[target] ?? target;
  const shown = issues.slice(0, maxIssues).map((issue) => {
    const field = issue.path.map(String).join(".") || where;
    return { field, expected: describeIssue(issue) };
  });
  const detail = shown.map(({ field, expected }) => `${field}: ${expected}`).join("; ");
  return new PluckError("invalid_request", `${detail}.`, { extra: { fields: shown } });
}

function describeIssue(issue: $ZodIssue): string {
  if (issue.code === "invalid_type" && issue.expected === "int") return "must be a whole number";
  if (issue.code === "invalid_type" && issue.input === undefined && issue.message.endsWith("received undefined")) return "is missing";
  if (issue.code === "invalid_type") return `must be ${article(issue.expected)}`;
  if (issue.code === "too_small" && issue.origin === "number") return `must be ${String(issue.minimum)} or more`;
  if (issue.code === "too_big" && (issue.origin === "number" || issue.origin === "int")) return `must be ${String(issue.maximum)} or less`;
  if (issue.code === "too_small") return issue.origin === "string" && issue.minimum === 1 ? "must not be empty" : `must have at least ${String(issue.minimum)} ${unit(issue.origin)}`;
  if (issue.code === "too_big") return `must have at most ${String(issue.maximum)} ${unit(issue.origin)}`;
  if (issue.code === "unrecognized_keys") return `has no ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
  if (issue.code === "invalid_value") return `must be one of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "invalid_format" && issue.format === "datetime") return "must be a time as in RFC 3339, such as 2025-10-08T19:24:31Z";
  return issue.message;
}

function article(type: string): string {
  if (type === "array") return "a list";
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function unit(origin: string): string {
  return origin === "array" ? "items" : "characters";
}

/** The `responses` of a route for these codes, grouped by status, with the code as the example's. */
export function problems(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of ["invalid_request", "unauthenticated", ...codes] as const) {
    const { status } = errorCodes[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, found]) => [
      status,
      {
        description: found.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join("\n\n"),
        content: { "application/problem+json": { schema: problemSchema } },
      },
    ]),
  );
}

/** A JSON response of this form. */
export function json<S>(schema: S, description: string, example?: unknown) {
  return { description, content: { "application/json": { schema, ...(example === undefined ? {} : { example }) } } };
}

/** A JSON request body of this form. */
export function body<S>(schema: S, examples?: Record<string, { summary: string; value: unknown }>) {
  return { required: true, content: { "application/json": { schema, ...(examples === undefined ? {} : { examples }) } } };
}

export const bearer = [{ bearer: [] }];
