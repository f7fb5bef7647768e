/** Turns an OpenAPI document into the reference part of docs/api.md. */

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean; readonly schema?: Schema; readonly description?: string }[];
  readonly requestBody?: { readonly content?: Record<string, { readonly schema?: Schema }> };
  readonly responses: Record<string, { readonly description?: string; readonly content?: Record<string, { readonly schema?: Schema }> }>;
}

export interface OpenApi {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, Schema> };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
}

export function writeReference(document: OpenApi): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  const lines: string[] = ["## Reference", "", "Any call may also answer 400 `invalid_request`, 401 `unauthenticated`, 500 `internal` and 503 `database_unavailable`.", ""];
  const tags = document.tags ?? [];
  for (const { name, description } of tags) {
    lines.push(`### ${name}`, "", `${description ?? ""}.`, "");
    for (const { path, method, operation } of operations.filter(({ operation: { tags: own } }) => own?.[0] === name)) lines.push(...writeOperation(path, method, operation));
  }
  lines.push("### Schemas", "");
  for (const [name, schema] of Object.entries(document.components.schemas).toSorted(([a], [b]) => (a < b ? -1 : 1))) lines.push(...writeSchema(name, schema));
  return lines.join("\n");
}

function writeOperation(path: string, method: string, operation: Operation): string[] {
  const lines = [`#### ${method} ${path}`, "", `${operation.summary ?? ""}.`, ""];
  if (operation.description !== undefined) lines.push(operation.description, "");
  const parameters = (operation.parameters ?? []).filter((parameter) => parameter.in === "query");
  if (parameters.length > 0) {
    lines.push("| query | type | |", "|---|---|---|");
    for (const { name, schema, required, description } of parameters) lines.push(`| \`${name}\` | ${cell(typeOf(schema))} | ${cell([required === true ? "required" : "", limits(schema), description ?? ""].filter(Boolean).join("; "))} |`);
    lines.push("");
  }
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  if (body !== undefined) lines.push(`Body: ${typeOf(body)}`, "");
  for (const [status, { description, content }] of Object.entries(operation.responses)) {
    if (status === "400" || status === "401") continue;
    const schema = Object.values(content ?? {})[0]?.schema;
    lines.push(`- **${status}**${schema === undefined ? "" : ` ${typeOf(schema)}`}: ${(description ?? "").replace(/\.$/, "")}`);
  }
  lines.push("");
  return lines;
}

function writeSchema(name: string, schema: Schema): string[] {
  const lines = [`#### ${name}`, ""];
  if (schema.properties === undefined) return [...lines, typeOf(schema), ""];
  lines.push("| field | type | |", "|---|---|---|");
  for (const [field, type] of Object.entries(schema.properties)) {
    const notes = [schema.required?.includes(field) === true ? "" : "optional", limits(type), type.description ?? ""].filter(Boolean).join("; ");
    lines.push(`| \`${field}\` | ${cell(typeOf(type))} | ${cell(notes)} |`);
  }
  lines.push("");
  return lines;
}

function typeOf(schema: Schema | undefined): string {
  if (schema === undefined) return "";
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(", ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return either.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items) || "values"}`;
  if (schema.type === "object" && schema.properties !== undefined) return `{${Object.keys(schema.properties).join(", ")}}`;
  return [schema.type ?? "any"].flat().join(" or ");
}

function limits(schema: Schema | undefined): string {
  if (schema === undefined) return "";
  const range = schema.minimum !== undefined && schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER ? `${schema.minimum} to ${schema.maximum}` : "";
  return [range, schema.default === undefined ? "" : `default ${JSON.stringify(schema.default)}`].filter(Boolean).join(", ");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
