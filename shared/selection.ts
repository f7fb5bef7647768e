import { createHash } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { z } from "zod";
import { PluckError } from "./errors.ts";
import { idPattern } from "./messages.ts";

/**
 * What an archive of things picked here and there is made of. The coordinator writes it, whoever asked for
 * the archive carries it to the agent, and the link holds its hash: so the agent needs to keep nothing, and
 * nobody can ask for anything else.
 *
 * As text it is base64url of deflated JSON: it needs no escaping in a form, and ten thousand paths of one
 * folder take little more than their own names.
 */
export interface Selection {
  /** The archive's file name without its ending. */
  readonly name: string;
  readonly mounts: readonly SelectedMount[];
}

export interface SelectedMount {
  readonly mount_id: string;
  /** The folder in the archive that its entries stand in when there are several mounts. */
  readonly folder: string;
  /** As shared/guest-path.ts reads them. */
  readonly paths: readonly string[];
}

/** Of the text, and so of the form that carries it, less the field's name. */
export const maxSelectionBytes = 4 * 1024 * 1024;
/** A request of this size makes it. */
const maxJsonBytes = 8 * 1024 * 1024;
const maxNameLength = 255;

const selectionSchema = z.object({
  v: z.literal(1),
  name: z.string().min(1).max(maxNameLength),
  mounts: z.array(z.object({ mount_id: z.string().regex(idPattern), folder: z.string().min(1).max(maxNameLength), paths: z.array(z.string()).min(1) })).min(1),
});

/** @throws PluckError body_too_large */
export function encodeSelection(selection: Selection): string {
  const text = deflateRawSync(JSON.stringify({ v: 1, ...selection })).toString("base64url");
  if (text.length > maxSelectionBytes) throw new PluckError("body_too_large", `The selection takes ${String(text.length)} bytes; at most ${String(maxSelectionBytes)} can be sent to an agent. Make several archives.`);
  return text;
}

/** @throws PluckError invalid_request */
export function decodeSelection(text: string): Selection {
  try {
    return selectionSchema.parse(JSON.parse(inflateRawSync(Buffer.from(text, "base64url"), { maxOutputLength: maxJsonBytes }).toString("utf8")));
  } catch (error) {
    throw new PluckError("invalid_request", "selection: is not what the coordinator gave.", { cause: error });
  }
}

/** Hex SHA-256 of the text. */
export function hashSelection(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

const maxDescriptionLength = 4096;

/** Paths for the audit trail, a line each; the first of very many. */
export function describePaths(paths: readonly string[]): string {
  const lines: string[] = [];
  let length = 0;
  for (const path of paths) {
    const line = path.replace(/[\x00-\x1f\x7f]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
    length += line.length + 1;
    if (length > maxDescriptionLength && lines.length > 0) {
      lines.push(`and ${String(paths.length - lines.length)} more`);
      break;
    }
    lines.push(line);
  }
  return lines.join("\n");
}
