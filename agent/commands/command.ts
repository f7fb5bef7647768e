import type { CommandBody, CommandName, CommandResult } from "../../shared/messages.ts";
import type { OpenMounts } from "../mounts/open-mount.ts";
import type { UnlockDesk } from "./unlock-desk.ts";

/** What the commands work on. */
export interface CommandServices {
  readonly mounts: OpenMounts;
  readonly repositoryRoot: string;
  readonly unlocks: UnlockDesk;
}

/** One command: idempotent, because any may come twice. Throws PluckErrors, which become the reply. */
export type CommandHandler<N extends CommandName> = (body: CommandBody<N>, services: CommandServices) => Promise<CommandResult<N>>;
