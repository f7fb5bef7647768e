import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { createApp } from "../../coordinator/app.ts";
import { parseConfig } from "../../coordinator/config.ts";
import { systemActor, systemClock, type Context } from "../../coordinator/context.ts";
import { createOpenApiDocument } from "../../coordinator/openapi.ts";
import { writeReference, type OpenApi } from "./reference.ts";

// npm run docs:api: writes the reference part of docs/api.md from the schemas that validate requests.
// With --check it writes nothing and fails when the file is not up to date.

const file = join(import.meta.dirname, "../../docs/api.md");
const [begin, end] = ["<!-- reference: written by npm run docs:api -->", "<!-- end of reference -->"];

const text = await readFile(file, "utf8");
const head = text.slice(0, text.indexOf(begin));
const tail = text.slice(text.indexOf(end));
const updated = `${head}${begin}\n\n${writeReference(openApi())}\n${tail}`;
if (process.argv.includes("--check")) {
  if (updated !== text) {
    console.error("docs/api.md is not up to date: npm run docs:api");
    process.exit(1);
  }
} else await writeFile(file, updated);

function openApi(): OpenApi {
  const unused = (): never => {
    throw new Error("no service runs while the document is made");
  };
  const ctx: Context = {
    db: {} as Context["db"],
    config: parseConfig({}),
    logger: pino({ level: "silent" }),
    clock: systemClock,
    fleet: { call: unused, isOnline: () => false },
    mounts: {} as Context["mounts"],
    links: { signer: unused, jwks: unused },
    actor: systemActor,
  };
  return createOpenApiDocument(createApp({ ctx, adminTokenSha256: "", health: unused, page: new Map() })) as OpenApi;
}
