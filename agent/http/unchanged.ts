import { PluckError } from "../../shared/errors.ts";
import type { OpenMount } from "../mounts/open-mount.ts";

/**
 * What was read of a disk, or why it could not be read, given that its files did not change meanwhile.
 * @throws PluckError backup_in_use when they did, whatever else went wrong
 */
export async function ofUnchanged<T>(mount: OpenMount, read: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await read();
  } catch (error) {
    throw await causeOf(mount, error);
  }
  await mount.assertUnchanged();
  return result;
}

/** An error of reading a disk; what a change of its files has led to is put down to that. */
export async function causeOf(mount: OpenMount, error: unknown): Promise<unknown> {
  try {
    await mount.assertUnchanged();
    return error;
  } catch (change) {
    return change instanceof PluckError && change.code === "backup_in_use" ? change : error;
  }
}
