import { resolve } from "node:path";
import { z } from "zod";
import { defaultQueryTimeoutS } from "./database/connect.ts";

/** An unset variable and an empty one mean the same. */
const optionalText = z.string().transform((text) => (text === "" ? undefined : text)).optional();
const port = z.coerce.number().int().min(0).max(65_535);

const environmentSchema = z.object({
  PLUCK_HOME: z.string().min(1).default(".pluck"),
  PLUCK_HOST: z.string().min(1).default("127.0.0.1"),
  PLUCK_PORT: port.default(8082),
  PLUCK_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  PLUCK_DATABASE_URL: z.url({ protocol: /^(mysql|mariadb)$/ }).optional(),
  PLUCK_DATABASE_WAIT_S: z.coerce.number().min(0).max(3600).default(60),
  PLUCK_DATABASE_TIMEOUT_S: z.coerce.number().min(0.1).max(3600).default(defaultQueryTimeoutS),
  PLUCK_BROKER_URL: z.url({ protocol: /^(mqtts?|wss?|tcp|ssl)$/ }).optional(),
  PLUCK_BROKER_USERNAME: optionalText,
  PLUCK_BROKER_PASSWORD: optionalText,
  PLUCK_BROKER_HOST: z.string().min(1).default("127.0.0.1"),
  PLUCK_BROKER_PORT: port.default(1883),
  PLUCK_ADMIN_TOKEN: z.string().regex(/^[A-Za-z0-9._~+/=-]{1,512}$/, "1 to 512 characters that a bearer token may have: letters, digits and . _ ~ + / = -").optional(),
  PLUCK_IDLE_TIMEOUT_S: z.coerce.number().int().min(1).max(31_536_000).default(3600),
  PLUCK_MOUNT_WAIT_S: z.coerce.number().min(0).max(600).default(10),
  PLUCK_SWEEP_S: z.coerce.number().min(0.1).max(3600).optional(),
  PLUCK_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
});

/** The coordinator's configuration, resolved once in main and passed in. */
export interface CoordinatorConfig {
  /** The state folder, absolute. */
  readonly home: string;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Where people reach this coordinator; undefined: http://{host}:{the port taken}. Its origin may read the agents' answers (CORS). */
  readonly publicUrl: string | undefined;
  /** Undefined: a private MariaDB in the state folder. */
  readonly databaseUrl: string | undefined;
  /** How long a start waits for a database that does not answer yet. */
  readonly databaseWaitS: number;
  /** How long a request waits for a database that hangs before it is told so. */
  readonly databaseTimeoutS: number;
  /** Undefined: the embedded broker. */
  readonly brokerUrl: string | undefined;
  /** Credentials at an outside broker. */
  readonly brokerUsername: string | undefined;
  readonly brokerPassword: string | undefined;
  readonly brokerHost: string;
  /** The embedded broker's; 0 takes a free port. */
  readonly brokerPort: number;
  /** Undefined: made once and kept in {home}/admin-token. */
  readonly adminToken: string | undefined;
  readonly idleTimeoutS: number;
  /** How long POST /restore/mount waits before it answers 202. */
  readonly mountWaitS: number;
  readonly sweepIntervalS: number;
  readonly logLevel: string;
  /** For tests: a private MariaDB that need not survive a power cut. */
  readonly fastDatabase?: boolean;
}

/** @throws ConfigurationError with one line per wrong variable */
export function parseConfig(environment: Record<string, string | undefined>): CoordinatorConfig {
  const given = Object.fromEntries(Object.entries(environment).filter(([name, value]) => name.startsWith("PLUCK_") && value !== ""));
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) throw new ConfigurationError(z.prettifyError(parsed.error));
  const env = parsed.data;
  return {
    home: resolve(env.PLUCK_HOME),
    host: env.PLUCK_HOST,
    port: env.PLUCK_PORT,
    publicUrl: env.PLUCK_PUBLIC_URL?.replace(/\/+$/, ""),
    databaseUrl: env.PLUCK_DATABASE_URL,
    databaseWaitS: env.PLUCK_DATABASE_WAIT_S,
    databaseTimeoutS: env.PLUCK_DATABASE_TIMEOUT_S,
    brokerUrl: env.PLUCK_BROKER_URL,
    brokerUsername: env.PLUCK_BROKER_USERNAME,
    brokerPassword: env.PLUCK_BROKER_PASSWORD,
    brokerHost: env.PLUCK_BROKER_HOST,
    brokerPort: env.PLUCK_BROKER_PORT,
    adminToken: env.PLUCK_ADMIN_TOKEN,
    idleTimeoutS: env.PLUCK_IDLE_TIMEOUT_S,
    mountWaitS: env.PLUCK_MOUNT_WAIT_S,
    // An idle mount ends at most a quarter late.
    sweepIntervalS: env.PLUCK_SWEEP_S ?? Math.min(15, env.PLUCK_IDLE_TIMEOUT_S / 4),
    logLevel: env.PLUCK_LOG_LEVEL,
  };
}

export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}
