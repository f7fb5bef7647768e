import { createRoute, z } from "@hono/zod-openapi";
import { vmListSchema } from "../../shared/api.ts";
import { listVms } from "../services/catalog/list-vms.ts";
import { bearer, createRouter, json, problems } from "./router.ts";

const list = createRoute({
  method: "get",
  path: "/vms",
  tags: ["Backups"],
  summary: "The VMs that have backups, by name",
  description: "One entry a VM, with all the repositories that it is in.",
  security: bearer,
  request: {
    query: z.object({
      search: z.string().min(1).max(255).optional().openapi({ description: "Stands anywhere in the VM's name, or in the id or name of a repository; case does not matter." }),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      cursor: z.string().max(2048).optional(),
    }),
  },
  responses: { 200: json(vmListSchema, "A page of VMs; `next` is the cursor of the page after it"), ...problems() },
});

export const vmRoutes = createRouter().openapi(list, async (c) => c.json(await listVms({ ctx: c.var.ctx, input: c.req.valid("query") }), 200));
