import { createRoute, z } from "@hono/zod-openapi";
import { backupDisksSchema, backupListSchema, backupSchema, idSchema, registerBackupSchema } from "../../shared/api.ts";
import { deleteBackup } from "../services/catalog/delete-backup.ts";
import { getBackup, listDisks } from "../services/catalog/get-backup.ts";
import { listBackups } from "../services/catalog/list-backups.ts";
import { registerBackup } from "../services/catalog/register-backup.ts";
import { disksExample, registerExamples } from "./examples.ts";
import { bearer, body, createRouter, json, problems } from "./router.ts";

const defaultLimit = 100;
const maxLimit = 1000;
const limit = z.coerce.number().int().min(1).max(maxLimit).default(defaultLimit);
/** Ids of an adopted catalog may hold anything. */
const backupParams = z.object({ backup_id: z.string().min(1).max(64) });

const list = createRoute({
  method: "get",
  path: "/backups",
  tags: ["Backups"],
  summary: "Restore points, newest first",
  security: bearer,
  request: {
    query: z.object({
      vm_name: z.string().min(1).max(255).optional(),
      repository_id: idSchema.optional(),
      limit,
      cursor: z.string().max(512).optional(),
    }),
  },
  responses: { 200: json(backupListSchema, "A page of restore points; `next` is the cursor of the page after it"), ...problems() },
});

const register = createRoute({
  method: "post",
  path: "/backups",
  tags: ["Backups"],
  summary: "Registers a finished backup; the agent checks each file",
  description: "Paths are relative to the repository's root. The same registration again answers with what is there.",
  security: bearer,
  request: { body: body(registerBackupSchema, registerExamples) },
  responses: {
    201: json(backupSchema, "It was registered"),
    200: json(backupSchema, "It is registered already, just so"),
    ...problems("repository_not_found", "backup_exists", "qcow2_missing", "chain_outside_repository", "backup_in_use", "corrupt", "unsupported", "agent_offline", "agent_timeout"),
  },
});

const get = createRoute({
  method: "get",
  path: "/backups/{backup_id}",
  tags: ["Backups"],
  summary: "One restore point with its disks",
  security: bearer,
  request: { params: backupParams },
  responses: { 200: json(backupSchema, "The restore point"), ...problems("backup_not_found") },
});

const disks = createRoute({
  method: "get",
  path: "/backups/{backup_id}/disks",
  tags: ["Backups"],
  summary: "The disks of a restore point: what disk_index may be",
  security: bearer,
  request: { params: backupParams },
  responses: { 200: json(backupDisksSchema, "Its disks by index", disksExample), ...problems("backup_not_found") },
});

const remove = createRoute({
  method: "delete",
  path: "/backups/{backup_id}",
  tags: ["Backups"],
  summary: "Takes a restore point out of the catalog and ends its mounts (role admin); its files stay",
  security: bearer,
  request: { params: backupParams },
  responses: { 204: { description: "It is gone" }, ...problems("backup_not_found", "forbidden") },
});

export const backupRoutes = createRouter()
  .openapi(list, async (c) => {
    const query = c.req.valid("query");
    return c.json(await listBackups({ ctx: c.var.ctx, input: { vmName: query.vm_name, repositoryId: query.repository_id, limit: query.limit, cursor: query.cursor } }), 200);
  })
  .openapi(register, async (c) => {
    const { backup, created } = await registerBackup({ ctx: c.var.ctx, input: c.req.valid("json") });
    return created ? c.json(backup, 201) : c.json(backup, 200);
  })
  .openapi(get, async (c) => c.json(await getBackup({ ctx: c.var.ctx, input: c.req.valid("param").backup_id }), 200))
  .openapi(disks, async (c) => c.json(await listDisks({ ctx: c.var.ctx, input: c.req.valid("param").backup_id }), 200))
  .openapi(remove, async (c) => {
    await deleteBackup({ ctx: c.var.ctx, input: c.req.valid("param").backup_id });
    return c.body(null, 204);
  });
