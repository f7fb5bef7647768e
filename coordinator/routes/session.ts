import { createRoute } from "@hono/zod-openapi";
import { sessionSchema } from "../../shared/api.ts";
import { bearer, createRouter, json, problems } from "./router.ts";

const get = createRoute({
  method: "get",
  path: "/session",
  tags: ["Access"],
  summary: "Whose token this is, and what it may do",
  security: bearer,
  responses: { 200: json(sessionSchema, "The token's name and role"), ...problems() },
});

export const sessionRoutes = createRouter().openapi(get, (c) => {
  const { name, role } = c.var.ctx.actor;
  return c.json({ name, role }, 200);
});
