import { Hono, type Context } from "hono";
import { nanoid } from "nanoid";
import { PluckError, toProblem } from "../../shared/errors.ts";
import { selectionPath, type AgentRoute } from "../../shared/link.ts";
import { getArchive } from "./archive.ts";
import { allowedOrigins, answerPreflight, corsHeaders } from "./cors.ts";
import { getDownload } from "./download.ts";
import { getFileInfo } from "./file-info.ts";
import { getFiles } from "./files.ts";
import { findMount, type AgentEnv, type AgentServices } from "./request.ts";
import { postSelection } from "./selection.ts";

type Handler = (context: Context<AgentEnv>, services: AgentServices) => Promise<Response>;

const routes: Record<AgentRoute, Handler> = {
  files: getFiles,
  "file-info": getFileInfo,
  download: getDownload,
  archive: getArchive,
};

/** A guest's bytes are data: no browser may run them in the agent's origin, whatever they hold. */
const hardening = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "sandbox; default-src 'none'",
  "Referrer-Policy": "no-referrer",
} as const;

const allowed = "GET, HEAD, OPTIONS";

/** The agent's HTTP side: signed link in, bytes out. */
export function createAgentApp(services: AgentServices): Hono<AgentEnv> {
  const { logger, metrics } = services;
  const app = new Hono<AgentEnv>();

  app.use("*", async (context, next) => {
    const startedAt = performance.now();
    context.set("requestId", nanoid());
    await next();
    const { res } = context;
    for (const [name, value] of Object.entries({ ...hardening, ...corsHeaders(context, allowedOrigins(context, services)), "X-Request-Id": context.get("requestId") })) {
      res.headers.set(name, value);
    }
    const route = routeOf(context.req.path);
    metrics.requests.inc({ route, status: String(res.status) });
    // Never the URL: its query holds the token.
    logger.debug({ request_id: context.get("requestId"), method: context.req.method, route, status: res.status, ms: Math.round(performance.now() - startedAt) }, "request");
  });

  for (const [route, handler] of Object.entries(routes)) {
    app.get(`/v1/mounts/:mount_id/${route}`, async (context) => await handler(context, services));
    app.options(`/v1/mounts/:mount_id/${route}`, (context) => {
      findMount(context, services);
      return answerPreflight(context, allowedOrigins(context, services), "GET, HEAD");
    });
    app.all(`/v1/mounts/:mount_id/${route}`, (context) => {
      context.header("Allow", allowed);
      throw new PluckError("method_not_allowed", `A link answers ${allowed}.`);
    });
  }
  app.post(selectionPath, async (context) => await postSelection(context, services));
  app.options(selectionPath, (context) => answerPreflight(context, allowedOrigins(context, services), "POST"));
  app.all(selectionPath, (context) => {
    context.header("Allow", "POST, OPTIONS");
    throw new PluckError("method_not_allowed", "An archive of a selection is asked for by POST, with the selection as a form.");
  });
  app.get("/healthz", (context) => context.json({ status: "ok" }, 200, { "Cache-Control": "no-store" }));
  app.get("/metrics", async (context) => context.body(await metrics.registry.metrics(), 200, { "Content-Type": metrics.registry.contentType }));

  app.notFound((context) => answerProblem(context, new PluckError("not_found", "Nothing is served here.")));
  app.onError((error, context) => {
    if (!(error instanceof PluckError)) logger.error({ request_id: context.get("requestId"), route: routeOf(context.req.path), err: error }, "request failed");
    else if (error.code === "io_error") metrics.nbdErrors.inc();
    return answerProblem(context, error);
  });
  return app;
}

function answerProblem(context: Context<AgentEnv>, error: unknown): Response {
  const problem = toProblem(error, context.get("requestId"));
  const headers = new Headers({ "Content-Type": "application/problem+json", "Cache-Control": "no-store" });
  // Set before the error was thrown: the size of a file whose range can't be served, the methods there are.
  for (const name of ["Content-Range", "Allow"]) {
    const value = context.res.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  if (error instanceof PluckError && error.retryAfterS !== undefined) headers.set("Retry-After", String(error.retryAfterS));
  if (problem.code === "unauthenticated") headers.set("WWW-Authenticate", "Bearer");
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}

/** A label of few values: never a path that a client made up. */
function routeOf(path: string): string {
  const last = path.slice(path.lastIndexOf("/") + 1);
  if (path.startsWith("/v1/mounts/") && Object.hasOwn(routes, last)) return last;
  if (path === selectionPath) return "selection";
  return path === "/healthz" || path === "/metrics" ? path.slice(1) : "other";
}
