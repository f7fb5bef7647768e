import { and, eq, isNull, lt, or } from "drizzle-orm";
import { PluckError } from "../../../shared/errors.ts";
import type { Actor, Context, Role } from "../../context.ts";
import { apiTokens } from "../../database/schema.ts";
import { hashSecret, sameHash } from "./secret.ts";

/** `last_used_at` is for people, to the minute: not a write per request. */
const lastUsedStepMs = 60_000;
/** RFC 6750's token68, within reason. */
const headerPattern = /^Bearer +([A-Za-z0-9._~+/=-]{1,512}) *$/i;

export interface Credentials {
  /** The Authorization header as it came. */
  readonly authorization: string | undefined;
  /** Hash of the admin token, which stands in the configuration and not in the database. */
  readonly adminTokenSha256: string;
}

/** @throws PluckError unauthenticated */
export async function authenticate({ ctx, input }: { ctx: Pick<Context, "db" | "clock" | "logger">; input: Credentials }): Promise<Actor> {
  if (input.authorization === undefined) throw new PluckError("unauthenticated", "Send an API token: Authorization: Bearer <token>.");
  const token = headerPattern.exec(input.authorization)?.[1];
  if (token === undefined) throw new PluckError("unauthenticated", "The Authorization header must read: Bearer <token>.");
  const hash = hashSecret(token);
  if (sameHash(hash, input.adminTokenSha256)) return { name: "admin", role: "admin" };
  // The index finds a hash, not a token: what the comparison's time tells is of no use.
  const [row] = await ctx.db.select().from(apiTokens).where(eq(apiTokens.tokenSha256, hash)).limit(1);
  const now = ctx.clock.now();
  if (row === undefined || !sameHash(row.tokenSha256, hash)) throw new PluckError("unauthenticated", "The API token is not known; it may have been revoked.");
  if (row.expiresAt !== null && row.expiresAt <= now) throw new PluckError("unauthenticated", "The API token has expired.");
  if (row.lastUsedAt === null || now.getTime() - row.lastUsedAt.getTime() > lastUsedStepMs) noteUse(ctx, row.id, now);
  return { name: row.name, role: row.role };
}

/** @throws PluckError forbidden */
export function requireRole(actor: Actor, role: Role): void {
  if (role === "admin" && actor.role !== "admin") throw new PluckError("forbidden", "This needs a token with the role admin.");
}

/** Beside the request: who asks need not wait for it, nor fail with it. */
function noteUse(ctx: Pick<Context, "db" | "logger">, id: string, now: Date): void {
  const before = new Date(now.getTime() - lastUsedStepMs);
  ctx.db
    .update(apiTokens)
    .set({ lastUsedAt: now })
    .where(and(eq(apiTokens.id, id), or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, before))))
    .catch((error: unknown) => ctx.logger.warn({ err: error, tokenId: id }, "could not note the use of a token"));
}
