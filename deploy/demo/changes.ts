import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { noise, paragraphs, pdf, png } from "./content.ts";
import { attributeCommands, changeExt4, inParent, quoted, type Ext4Place } from "./ext4-image.ts";
import { fullBackupAtMs, postgres, postgresConfiguration, sqlDump, syslog } from "./guests.ts";
import { Tree } from "./tree.ts";

/** What happened in pgtest1 between the full backup and the incremental one, a day later. */

const laterMs = fullBackupAtMs + 24 * 3600 * 1000;

export interface Changes {
  readonly deleted: readonly string[];
  /** Written anew; what was there before is replaced. */
  readonly written: Tree;
  /** Of `written`, those that were there before. */
  readonly replaced: readonly string[];
}

export function rootChanges(): Changes {
  const written = new Tree({ modifiedAtMs: laterMs - 3_600_000 });
  const anna = { uid: 1000, gid: 1000 };
  written.file("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tpgtest1.example.net\tpgtest1\n10.20.0.11\tpgtest1\n10.20.0.21\tweb01\n10.20.0.22\tweb02\n");
  written.file("/etc/postgresql/15/main/postgresql.conf", postgresConfiguration(250), postgres);
  written.file("/var/log/syslog", syslog(laterMs, 10_500), { gid: 4, mode: 0o640, modifiedAtMs: laterMs - 911 });
  written.file("/home/anna/Documents/report.md", `# Report, second version\n\n${paragraphs("report", 14)}`, anna);
  written.file("/home/anna/Documents/offer-web02.pdf", pdf("Offer: a second web server"), anna);
  written.file("/home/anna/Pictures/2025-08 Holiday/IMG_4811.png", png("photo-later", 1280, 720), anna);
  return {
    deleted: ["/home/anna/Documents/draft.txt", "/home/anna/Documents/Invoices/invoice-007.pdf", "/var/log/syslog.7"],
    written,
    replaced: ["/etc/hosts", "/etc/postgresql/15/main/postgresql.conf", "/var/log/syslog", "/home/anna/Documents/report.md"],
  };
}

export function dataChanges(): Changes {
  const written = new Tree({ modifiedAtMs: laterMs - 7_200_000, ...postgres });
  written.file("/15/main/pg_wal/000000010000000000000018", noise("wal24", 500_000), { mode: 0o600, sizeBytes: 16 * 1024 * 1024 });
  written.file("/15/main/global/pg_control", noise("pg_control later", 512), { mode: 0o600, sizeBytes: 8192 });
  written.file("/dumps/shop-2025-10-08.sql", sqlDump("2025-10-08", 6400), { mode: 0o640 });
  written.symlink("/dumps/latest.sql", "shop-2025-10-08.sql");
  return {
    deleted: ["/15/main/pg_wal/000000010000000000000015"],
    written,
    replaced: ["/15/main/global/pg_control", "/dumps/latest.sql"],
  };
}

export async function applyChanges(place: Ext4Place, changes: Changes, scratchFolder: string): Promise<void> {
  const source = await mkdtemp(join(scratchFolder, "changed-"));
  // Folders are there already: only what is in them is written.
  const entries = changes.written.entries.filter(({ content }) => content.kind !== "directory");
  const commands: Buffer[] = [...changes.deleted, ...changes.replaced].map((path) => Buffer.concat([Buffer.from("rm "), quoted(Buffer.from(path))]));
  for (const [index, { path, content }] of entries.entries()) {
    if (content.kind === "symlink") commands.push(...inParent(path, (name) => Buffer.concat([Buffer.from("symlink "), name, Buffer.from(" "), quoted(Buffer.from(content.target))])));
    if (content.kind !== "file") continue;
    const file = join(source, String(index));
    await writeFile(file, content.bytes);
    commands.push(...inParent(path, (name) => Buffer.concat([Buffer.from("write "), quoted(Buffer.from(file)), Buffer.from(" "), name])));
    if (content.sizeBytes !== undefined) commands.push(Buffer.concat([Buffer.from("set_inode_field "), quoted(path), Buffer.from(` size ${content.sizeBytes}`)]));
  }
  await changeExt4(place, [...commands, ...(await attributeCommands(entries, scratchFolder))], laterMs, scratchFolder);
  await rm(source, { recursive: true });
}
