import type { OpenAPIHono } from "@hono/zod-openapi";
import type { AppEnv } from "./routes/router.ts";

const description = `Takes single files out of VM backups.

A mount is a lease on an open disk: it ends after an hour without access, or with DELETE. Bytes never pass
this server: the calls that list and download answer 307 with a short-lived signed link to the agent that
holds the backup. A client that follows redirects need not care; it must not send its token along to
another host (browsers and curl don't).

## A file out of a backup with two disks

1. \`GET /api/v1/backups?vm_name=pgtest1\` lists the restore points.
2. \`GET /api/v1/backups/backup-pgtest1-1759947871/disks\` lists disk 0 (102 GiB) and disk 1 (5 GiB).
3. \`POST /api/v1/restore/mount\` with \`{"backup_id": "backup-pgtest1-1759947871", "disk_index": 1}\` opens the
   second disk; without \`disk_index\` it is disk 0. Both may be open at once, and so may other restore points.
4. \`GET /api/v1/restore/{mount_id}/files?path=/\` lists the volumes (\`p1\`, \`p2\` … or \`disk\`), and
   \`?path=/p2/etc\` a folder in one.
5. \`GET /api/v1/restore/{mount_id}/download?path=/p2/etc/hosts\` gives a file;
   \`…/download-directory?path=/p2/etc&format=tar.gz\` a folder.
6. \`POST /api/v1/restore/archives\` gives a link to one archive of many files and folders, also of both disks.
7. \`DELETE /api/v1/restore/{mount_id}\` ends it.

Errors are problem documents (RFC 9457) with a stable \`code\`.`;

/** The document that the routes' own schemas make: what validates requests is what is shown. */
export function createOpenApiDocument(app: OpenAPIHono<AppEnv>): object {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer", description: "An API token" });
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Pluck", version: "1", description },
    servers: [{ url: "/" }],
    tags: [
      { name: "Sites", description: "Repositories and the agents that serve them" },
      { name: "Backups", description: "Restore points and their disks" },
      { name: "Restore", description: "Mounts, and links into them" },
      { name: "Events", description: "The audit trail" },
      { name: "Access", description: "API tokens" },
    ],
  });
}
