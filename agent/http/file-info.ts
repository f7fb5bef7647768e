import type { Context } from "hono";
import { toFileInfo } from "./entry.ts";
import { grant, type AgentEnv, type AgentServices } from "./request.ts";
import { ofUnchanged } from "./unchanged.ts";

/** GET …/file-info: all that is known of one entry; a symlink is not followed. */
export async function getFileInfo(context: Context<AgentEnv>, services: AgentServices): Promise<Response> {
  const { mount, at } = await grant(context, services, "file-info");
  const node = await ofUnchanged(mount, () => mount.reader.info(at));
  return context.json(toFileInfo(mount.mountId, node), 200, { "Cache-Control": "no-store" });
}
