import { createRoute, z } from "@hono/zod-openapi";
import { eventListSchema } from "../../shared/api.ts";
import { listEvents } from "../services/events/list-events.ts";
import { bearer, createRouter, json, problems } from "./router.ts";

const time = z.iso.datetime({ offset: true });
const text = (maxLength: number) => z.string().min(1).max(maxLength).optional();

const list = createRoute({
  method: "get",
  path: "/events",
  tags: ["Events"],
  summary: "The audit trail, newest first: who mounted, linked, downloaded and ended what",
  security: bearer,
  request: {
    query: z.object({
      type: text(32),
      backup_id: text(64),
      mount_id: text(64),
      actor: text(255),
      /** From this moment on. */
      since: time.optional(),
      /** Before this moment. */
      until: time.optional(),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      cursor: z.string().max(64).optional(),
    }),
  },
  responses: { 200: json(eventListSchema, "A page of events; `next` is the cursor of the page after it"), ...problems() },
});

export const eventRoutes = createRouter().openapi(list, async (c) => {
  const query = c.req.valid("query");
  const input = {
    type: query.type,
    backupId: query.backup_id,
    mountId: query.mount_id,
    actor: query.actor,
    since: query.since === undefined ? undefined : new Date(query.since),
    until: query.until === undefined ? undefined : new Date(query.until),
    limit: query.limit,
    cursor: query.cursor,
  };
  return c.json(await listEvents({ ctx: c.var.ctx, input }), 200);
});
