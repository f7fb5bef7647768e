import { join } from "node:path";
import { parseArgs } from "node:util";
import { ConfigurationError, parseConfig } from "./config.ts";
import { migrateDown, migrateUp, migrationStatus, MigrationError } from "./database/migrate.ts";
import { findPrivateMariadb, startPrivateMariadb } from "./database/private-mariadb.ts";

/** `npm run migrate -- up | down [steps] | status`: on PLUCK_DATABASE_URL, or the private MariaDB in PLUCK_HOME (started for the purpose when it does not run). */
const usage = "usage: npm run migrate -- up | down [steps] | status\n";

async function main(): Promise<number> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const [command = "", steps] = positionals;
  if (!["up", "down", "status"].includes(command) || (steps !== undefined && !/^[1-9]\d{0,3}$/.test(steps))) {
    process.stderr.write(usage);
    return 64;
  }
  const config = parseConfig(process.env);
  const folder = join(config.home, "database");
  const running = config.databaseUrl ?? (await findPrivateMariadb(folder));
  const server = running === undefined ? await startPrivateMariadb(folder) : undefined;
  try {
    return await run(command, running ?? server?.url ?? "", steps === undefined ? 1 : Number(steps));
  } finally {
    await server?.stop();
  }
}

async function run(command: string, url: string, steps: number): Promise<number> {
  if (command === "status") {
    for (const { version, name, state, way, appliedAt } of await migrationStatus(url)) {
      const when = appliedAt === null ? "" : ` ${appliedAt.toISOString()}`;
      process.stdout.write(`${String(version).padStart(4, "0")}_${name}: ${state}${way === "adopted" ? " (adopted)" : ""}${when}\n`);
    }
    return 0;
  }
  const report = command === "up" ? await migrateUp(url) : await migrateDown(url, { steps });
  for (const line of report.done) process.stdout.write(`${line}\n`);
  for (const line of report.warnings) process.stderr.write(`warning: ${line}\n`);
  if (report.done.length === 0) process.stdout.write("nothing to do\n");
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const known = error instanceof ConfigurationError || error instanceof MigrationError;
  process.stderr.write(`${known || error instanceof Error ? (error as Error).message : String(error)}\n`);
  process.exitCode = error instanceof ConfigurationError ? 78 : 1;
}
