import { scanRepository } from "../mounts/scan-repository.ts";
import type { CommandHandler } from "./command.ts";

/** Finds the backup files by their layout. */
export const scan: CommandHandler<"scan"> = async (_body, { repositoryRoot }) => await scanRepository(repositoryRoot);
