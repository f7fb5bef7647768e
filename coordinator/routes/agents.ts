import { createRoute, z } from "@hono/zod-openapi";
import { agentSchema, createAgentSchema, createdAgentSchema } from "../../shared/api.ts";
import { createAgent, listAgents } from "../services/sites/agents.ts";
import { bearer, body, createRouter, json, problems } from "./router.ts";

const list = createRoute({
  method: "get",
  path: "/agents",
  tags: ["Sites"],
  summary: "The agents: online, last seen, slots in use",
  security: bearer,
  responses: { 200: json(z.object({ agents: z.array(agentSchema) }).openapi("AgentList"), "All agents"), ...problems() },
});

const create = createRoute({
  method: "post",
  path: "/agents",
  tags: ["Sites"],
  summary: "Adds an agent (role admin); its password for the broker is shown this once",
  security: bearer,
  request: { body: body(createAgentSchema) },
  responses: { 201: json(createdAgentSchema, "It was added"), ...problems("forbidden", "repository_not_found") },
});

export const agentRoutes = createRouter()
  .openapi(list, async (c) => c.json({ agents: await listAgents({ ctx: c.var.ctx, input: undefined }) }, 200))
  .openapi(create, async (c) => c.json(await createAgent({ ctx: c.var.ctx, input: c.req.valid("json") }), 201));
