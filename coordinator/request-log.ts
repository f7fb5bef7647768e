import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Logger } from "pino";
import type { AppEnv } from "./routes/router.ts";

/** One line a request: route and status, never its query, where links, tokens and guests' paths may stand. */
export function requestLog(logger: Logger): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const start = performance.now();
    await next();
    const status = c.res.status;
    const line = {
      requestId: c.var.requestId,
      method: c.req.method,
      route: routePath(c, -1),
      path: c.req.path.slice(0, 300),
      status,
      ms: Math.round((performance.now() - start) * 10) / 10,
      actor: (c.var.ctx as AppEnv["Variables"]["ctx"] | undefined)?.actor.name,
    };
    if (status >= 500) logger.warn(line, "request");
    else if (c.req.path === "/healthz" || c.req.path === "/metrics") logger.debug(line, "request");
    else logger.info(line, "request");
  };
}
