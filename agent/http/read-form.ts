import { PluckError } from "../../shared/errors.ts";

/** The field's name and escapes of a client that encodes more than it has to. */
const overheadBytes = 64 * 1024;

/**
 * One field of a form (application/x-www-form-urlencoded), as a browser or curl posts it.
 * @param maxBytes of the field's value
 * @throws PluckError invalid_request, body_too_large as soon as there are more bytes
 */
export async function readForm(request: Request, field: string, maxBytes: number): Promise<string> {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") throw new PluckError("invalid_request", "The body must be a form: application/x-www-form-urlencoded.");
  const tooLarge = (): PluckError => new PluckError("body_too_large", `The form may have at most ${String(maxBytes)} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes + overheadBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (request.body !== null) {
    for await (const chunk of request.body) {
      length += chunk.length;
      if (length > maxBytes + overheadBytes) throw tooLarge();
      chunks.push(chunk);
    }
  }
  const value = new URLSearchParams(Buffer.concat(chunks).toString("latin1")).get(field);
  if (value === null || value === "") throw new PluckError("invalid_request", `The form has no field ${field}.`);
  return value;
}
