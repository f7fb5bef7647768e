import { toMountResult } from "../mounts/mount-result.ts";
import type { CommandHandler } from "./command.ts";

/** Opens a disk under an id; the same again answers with what is open. */
export const mount: CommandHandler<"mount"> = async (body, { mounts }) => {
  return toMountResult(await mounts.open({ mountId: body.mount_id, qcow2Path: body.qcow2_path, siblingPaths: body.sibling_paths ?? [], jwks: body.jwks, webOrigin: body.web_origin }));
};
