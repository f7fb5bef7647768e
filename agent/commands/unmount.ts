import { PluckError } from "../../shared/errors.ts";
import type { CommandHandler } from "./command.ts";

/** Ends a mount and every transfer of it; succeeds also when nothing is open. */
export const unmount: CommandHandler<"unmount"> = async ({ mount_id }, { mounts }) => {
  const wasOpen = await mounts.end(mount_id, new PluckError("mount_not_found", "The mount was ended."));
  return { mount_id, was_open: wasOpen };
};
