import type { z } from "zod";
import type {
  agentSchema, backupDiskSchema, backupListSchema, backupSchema, createdLinkSchema, Entry, eventListSchema, eventSchema, FileInfo, Listing, Mount, repositorySchema, scanResultSchema,
} from "../../shared/api.ts";

/** The API's shapes, as types only: the command checks an answer where it relies on it and loads no schema. */
export type Agent = z.infer<typeof agentSchema>;
export type Backup = z.infer<typeof backupSchema>;
export type BackupDisk = z.infer<typeof backupDiskSchema>;
export type BackupList = z.infer<typeof backupListSchema>;
export type CreatedLink = z.infer<typeof createdLinkSchema>;
export type Event = z.infer<typeof eventSchema>;
export type EventList = z.infer<typeof eventListSchema>;
export type Repository = z.infer<typeof repositorySchema>;
export type ScanResult = z.infer<typeof scanResultSchema>;
export type Volume = Mount["volumes"][number];
export type { Entry, FileInfo, Listing, Mount };

export interface Vm {
  readonly vm_name: string;
  readonly repositories: readonly { readonly id: string; readonly name: string; readonly online: boolean }[];
  readonly restore_points: number;
  readonly latest: { readonly backup_id: string; readonly backup_type: string; readonly status: string; readonly completed_at: string | null } | null;
}
