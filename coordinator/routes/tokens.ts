import { createRoute, z } from "@hono/zod-openapi";
import { createdTokenSchema, createTokenSchema, idSchema, tokenSchema } from "../../shared/api.ts";
import { createToken, listTokens, revokeToken } from "../services/access/tokens.ts";
import { bearer, body, createRouter, json, problems } from "./router.ts";

const list = createRoute({
  method: "get",
  path: "/tokens",
  tags: ["Access"],
  summary: "The API tokens, without their secrets (role admin)",
  security: bearer,
  responses: { 200: json(z.object({ tokens: z.array(tokenSchema) }).openapi("ApiTokenList"), "All tokens"), ...problems("forbidden") },
});

const create = createRoute({
  method: "post",
  path: "/tokens",
  tags: ["Access"],
  summary: "Makes an API token (role admin); its secret is shown this once",
  security: bearer,
  request: { body: body(createTokenSchema) },
  responses: { 201: json(createdTokenSchema, "The token"), ...problems("forbidden") },
});

const revoke = createRoute({
  method: "delete",
  path: "/tokens/{id}",
  tags: ["Access"],
  summary: "Revokes an API token (role admin); idempotent",
  security: bearer,
  request: { params: z.object({ id: idSchema }) },
  responses: { 204: { description: "It is not valid any more" }, ...problems("forbidden") },
});

export const tokenRoutes = createRouter()
  .openapi(list, async (c) => c.json({ tokens: await listTokens({ ctx: c.var.ctx, input: undefined }) }, 200))
  .openapi(create, async (c) => {
    c.header("Cache-Control", "no-store");
    return c.json(await createToken({ ctx: c.var.ctx, input: c.req.valid("json") }), 201);
  })
  .openapi(revoke, async (c) => {
    await revokeToken({ ctx: c.var.ctx, input: c.req.valid("param").id });
    return c.body(null, 204);
  });
