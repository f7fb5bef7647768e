import { checkFiles } from "../mounts/scan-repository.ts";
import type { CommandHandler } from "./command.ts";

/** Looks into backup files without opening them as disks. */
export const check: CommandHandler<"check"> = async ({ qcow2_paths }, { repositoryRoot }) => await checkFiles(repositoryRoot, qcow2_paths);
