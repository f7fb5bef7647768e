// The shapes of the REST API, from the schemas that validate them on the server; types only, so that
// none of the server's packages reaches the page.
import type { z } from "@hono/zod-openapi";
import type * as api from "../../../../shared/api.ts";

export type Repository = z.infer<typeof api.repositorySchema>;
export type Agent = z.infer<typeof api.agentSchema>;
export type Backup = z.infer<typeof api.backupSchema>;
export type BackupList = z.infer<typeof api.backupListSchema>;
export type BackupDisk = z.infer<typeof api.backupDiskSchema>;
export type Mount = api.Mount;
export type Volume = Mount["volumes"][number];
export type Entry = api.Entry;
export type Listing = api.Listing;
export type FileInfo = api.FileInfo;
export type AuditEvent = z.infer<typeof api.eventSchema>;
export type EventList = z.infer<typeof api.eventListSchema>;
export type CreateLink = z.infer<typeof api.createLinkSchema>;
export type CreatedLink = z.infer<typeof api.createdLinkSchema>;
export type VmList = z.infer<typeof api.vmListSchema>;
export type Vm = VmList["vms"][number];
export type ScanResult = z.infer<typeof api.scanResultSchema>;
export type Resources = z.infer<typeof api.resourcesSchema>;
