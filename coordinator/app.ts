import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { PluckError } from "../shared/errors.ts";
import { webOrigin, type Context } from "./context.ts";
import type { Health } from "./health.ts";
import { createMetrics } from "./metrics.ts";
import { createOpenApiDocument } from "./openapi.ts";
import { requestLog } from "./request-log.ts";
import { agentRoutes } from "./routes/agents.ts";
import { backupRoutes } from "./routes/backups.ts";
import { eventRoutes } from "./routes/events.ts";
import { problemResponse, toPluckError } from "./routes/problem-response.ts";
import { repositoryRoutes } from "./routes/repositories.ts";
import { restoreRoutes } from "./routes/restore.ts";
import { createRouter, type AppEnv } from "./routes/router.ts";
import { sessionRoutes } from "./routes/session.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { vmRoutes } from "./routes/vms.ts";
import { authenticate } from "./services/access/authenticate.ts";
import { contentSecurityPolicy, createWebRoutes } from "./web/routes.ts";
import type { StaticFile } from "./web/static-files.ts";

export interface AppOptions {
  /** With the system as its actor; each request gets it with its own. */
  readonly ctx: Context;
  readonly adminTokenSha256: string;
  readonly health: () => Promise<Health>;
  /** The built page, by path; empty where it has not been built. */
  readonly page: ReadonlyMap<string, StaticFile>;
}

/** 256 disks with the longest paths fit. */
const maxBodyBytes = 2 * 1024 * 1024;
/** Ten thousand paths of an archive, or fewer long ones. */
const maxArchiveBodyBytes = 4 * 1024 * 1024;
const archivesPath = "/api/v1/restore/archives";

/** The coordinator's HTTP side: everything but /healthz and the page refuses without a token. */
export function createApp({ ctx, adminTokenSha256, health, page }: AppOptions): OpenAPIHono<AppEnv> {
  const app = createRouter();
  const { registerMetrics, printMetrics } = createMetrics(ctx);

  app.use(requestId({ limitLength: 64 }));
  app.use(requestLog(ctx.logger));
  app.use(registerMetrics);
  app.use(secureHeaders({ contentSecurityPolicy, referrerPolicy: "no-referrer", xFrameOptions: "DENY", strictTransportSecurity: false }));
  const [usualLimit, archivesLimit] = [limitBody(maxBodyBytes), limitBody(maxArchiveBodyBytes)];
  app.use(async (c, next) => await (c.req.path === archivesPath ? archivesLimit : usualLimit)(c, next));

  app.get("/healthz", async (c) => {
    const found = await health();
    c.header("Cache-Control", "no-store");
    return c.json(found, found.status === "ok" || found.status === "degraded" ? 200 : 503);
  });
  app.route("/", createWebRoutes(page, webOrigin(ctx)));

  app.use(async (c, next) => {
    const actor = await authenticate({ ctx, input: { authorization: c.req.header("Authorization"), adminTokenSha256 } });
    c.set("ctx", { ...ctx, actor, logger: ctx.logger.child({ requestId: c.var.requestId, actor: actor.name }) });
    c.header("Cache-Control", "no-store");
    await next();
  });
  app.get("/metrics", printMetrics);
  app.route("/api/v1", repositoryRoutes);
  app.route("/api/v1", agentRoutes);
  app.route("/api/v1", vmRoutes);
  app.route("/api/v1", backupRoutes);
  app.route("/api/v1", restoreRoutes);
  app.route("/api/v1", eventRoutes);
  app.route("/api/v1", tokenRoutes);
  app.route("/api/v1", sessionRoutes);
  let document: unknown;
  app.get("/openapi.json", (c) => c.json((document ??= createOpenApiDocument(app)) as object));

  const findMethods = methodFinder(app);
  app.notFound((c) => {
    const methods = findMethods(c.req.path);
    if (methods.length === 0) return problemResponse(c, new PluckError("not_found", `There is nothing at ${c.req.path.slice(0, 300)}.`), c.get("requestId"));
    c.header("Allow", methods.join(", "));
    return problemResponse(c, new PluckError("method_not_allowed", `${c.req.path.slice(0, 300)} answers ${methods.join(", ")}.`), c.get("requestId"));
  });
  app.onError((error, c) => {
    const requestIdOfThis = c.get("requestId");
    const shown = toPluckError(error);
    if (!(shown instanceof PluckError) || shown.code === "internal") ctx.logger.error({ err: error, requestId: requestIdOfThis }, "a request failed");
    else if (shown.code === "database_unavailable") ctx.logger.warn({ err: error, requestId: requestIdOfThis }, "the database is not reachable");
    return problemResponse(c, shown, requestIdOfThis);
  });
  return app;
}

function limitBody(maxSize: number): MiddlewareHandler {
  return bodyLimit({ maxSize, onError: () => { throw new PluckError("body_too_large", `The body may have at most ${String(maxSize)} bytes.`); } });
}

/** The methods that a path answers, by the patterns of the routes that there are. */
function methodFinder(app: OpenAPIHono<AppEnv>): (path: string) => string[] {
  const known = app.routes
    .filter(({ method, path }) => method !== "ALL" && !path.includes("*"))
    .map(({ method, path }) => ({ method, pattern: new RegExp(`^${path.split("/").map((part) => (part.startsWith(":") ? "[^/]+" : part.replace(/[.+?^$()|[\]\\{}]/g, "\\$&"))).join("/")}$`) }));
  return (path) => {
    const found = new Set(known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
    if (found.has("GET")) found.add("HEAD");
    return [...found].sort();
  };
}
