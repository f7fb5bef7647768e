import { PluckError } from "../../shared/errors.ts";
import { openSealed, sealedKeyId } from "../../shared/sealed-secret.ts";
import { toMountResult } from "../mounts/mount-result.ts";
import type { CommandHandler } from "./command.ts";

/** A public key to encrypt one secret with. */
export const unlockKey: CommandHandler<"unlock_key"> = async (_body, { unlocks }) => await unlocks.issueKey();

/** Opens an encrypted volume of an open disk. The secret goes to the reader's memory and nowhere else. */
export const unlock: CommandHandler<"unlock"> = async ({ mount_id: mountId, volume, sealed }, { mounts, unlocks }) => {
  const mount = mounts.get(mountId);
  if (mount === undefined) throw new PluckError("mount_not_found", "The mount is not open on this agent.");
  const secret = await openSealed(sealed, unlocks.takeKey(sealedKeyId(sealed)), { mountId, volume });
  const attempt = unlocks.attempts.begin(`${mount.qcow2Path}\0${volume}`);
  const endTransfer = mount.beginTransfer();
  try {
    await unlocks.run(async () => await mount.reader.unlock({ volume, secret }));
    attempt.succeeded();
  } catch (error) {
    if (!(error instanceof PluckError) || error.code !== "wrong_key") attempt.withdraw();
    throw error;
  } finally {
    secret.fill(0);
    endTransfer();
  }
  await mount.assertUnchanged();
  return toMountResult(mount);
};
