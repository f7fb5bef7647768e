import { createRoute, z } from "@hono/zod-openapi";
import { createRepositorySchema, idSchema, repositorySchema, scanResultSchema } from "../../shared/api.ts";
import { scanRepository } from "../services/catalog/scan-repository.ts";
import { createRepository, listRepositories } from "../services/sites/repositories.ts";
import { bearer, body, createRouter, json, problems } from "./router.ts";

const list = createRoute({
  method: "get",
  path: "/repositories",
  tags: ["Sites"],
  summary: "The repositories, and whether their agents are online",
  security: bearer,
  responses: { 200: json(z.object({ repositories: z.array(repositorySchema) }).openapi("RepositoryList"), "All repositories"), ...problems() },
});

const create = createRoute({
  method: "post",
  path: "/repositories",
  tags: ["Sites"],
  summary: "Adds a repository (role admin)",
  security: bearer,
  request: { body: body(createRepositorySchema) },
  responses: { 201: json(repositorySchema, "It was added"), 200: json(repositorySchema, "It is there already"), ...problems("forbidden") },
});

const scan = createRoute({
  method: "post",
  path: "/repositories/{id}/scan",
  tags: ["Sites"],
  summary: "Finds qcow2 files by layout <vm>/disk-<n>/<file>.qcow2 and registers new restore points",
  security: bearer,
  request: { params: z.object({ id: idSchema }) },
  responses: { 200: json(scanResultSchema, "What was found; files that can't be read are among the problems"), ...problems("repository_not_found", "agent_offline", "agent_timeout") },
});

export const repositoryRoutes = createRouter()
  .openapi(list, async (c) => c.json({ repositories: await listRepositories({ ctx: c.var.ctx, input: undefined }) }, 200))
  .openapi(create, async (c) => {
    const { repository, created } = await createRepository({ ctx: c.var.ctx, input: c.req.valid("json") });
    return created ? c.json(repository, 201) : c.json(repository, 200);
  })
  .openapi(scan, async (c) => c.json(await scanRepository({ ctx: c.var.ctx, input: c.req.valid("param").id }), 200));
