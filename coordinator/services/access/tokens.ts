import { desc } from "drizzle-orm";
import { nanoid } from "nanoid";
import type { z } from "zod";
import type { createdTokenSchema, createTokenSchema, tokenSchema } from "../../../shared/api.ts";
import { PluckError } from "../../../shared/errors.ts";
import type { Call } from "../../context.ts";
import { exactly } from "../../database/exactly.ts";
import { apiTokens } from "../../database/schema.ts";
import { recordEvent } from "../events/record-event.ts";
import { requireRole } from "./authenticate.ts";
import { hashSecret, newSecret } from "./secret.ts";

type Token = z.infer<typeof tokenSchema>;

/** The token is shown this once; at rest there is only its hash. */
export async function createToken({ ctx, input }: Call<z.infer<typeof createTokenSchema>>): Promise<z.infer<typeof createdTokenSchema>> {
  requireRole(ctx.actor, "admin");
  const now = ctx.clock.now();
  const token = newSecret("pluck_");
  const row = {
    id: `tok-${nanoid(12)}`,
    name: input.name,
    role: input.role,
    tokenSha256: hashSecret(token),
    createdAt: now,
    lastUsedAt: null,
    expiresAt: input.ttl_s === undefined ? null : expiry(now, input.ttl_s),
  };
  await ctx.db.insert(apiTokens).values(row);
  await recordEvent({ ctx, input: { type: "token_created", outcome: row.id } });
  return { ...toToken(row), token };
}

export async function listTokens({ ctx }: Call): Promise<Token[]> {
  requireRole(ctx.actor, "admin");
  return (await ctx.db.select().from(apiTokens).orderBy(desc(apiTokens.createdAt), apiTokens.id)).map(toToken);
}

/** Takes effect with the next request; idempotent. */
export async function revokeToken({ ctx, input: id }: Call<string>): Promise<void> {
  requireRole(ctx.actor, "admin");
  const [result] = await ctx.db.delete(apiTokens).where(exactly(apiTokens.id, id));
  if (result.affectedRows > 0) await recordEvent({ ctx, input: { type: "token_revoked", outcome: id } });
}

/** The last moment a DATETIME and RFC 3339 can name. */
const maxTime = Date.parse("9999-12-31T23:59:59Z");

function expiry(now: Date, ttlS: number): Date {
  const end = now.getTime() + ttlS * 1000;
  if (end > maxTime) throw new PluckError("invalid_request", "ttl_s: lies beyond the year 9999; leave it out for a token that does not expire.");
  return new Date(end);
}

function toToken(row: Omit<typeof apiTokens.$inferSelect, "tokenSha256">): Token {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    created_at: row.createdAt.toISOString(),
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    expires_at: row.expiresAt?.toISOString() ?? null,
  };
}
