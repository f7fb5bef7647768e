import { z } from "zod";
import { idPattern } from "../shared/messages.ts";

/** The agent's configuration, resolved once in main from the environment and passed in. */
export const agentConfigSchema = z.object({
  PLUCK_AGENT_ID: z.string().regex(idPattern),
  PLUCK_REPOSITORY_ID: z.string().regex(idPattern),
  /** The folder with the backups. */
  PLUCK_REPOSITORY: z.string().min(1),
  PLUCK_BROKER_URL: z.url({ protocol: /^(mqtt|mqtts|ws|wss)$/ }),
  PLUCK_BROKER_USERNAME: z.string().optional(),
  /** The password itself, or a file that holds it. */
  PLUCK_BROKER_PASSWORD: z.string().optional(),
  PLUCK_BROKER_PASSWORD_FILE: z.string().optional(),
  /** Where clients reach this agent; default http://127.0.0.1:{port}. */
  PLUCK_AGENT_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  PLUCK_AGENT_HOST: z.string().default("127.0.0.1"),
  PLUCK_AGENT_PORT: z.coerce.number().int().min(0).max(65_535).default(8083),
  PLUCK_NBD_SLOTS: z.coerce.number().int().min(1).max(4096).default(16),
  /** Private folder for sockets; default {PLUCK_HOME}/agent. */
  PLUCK_AGENT_RUN_DIR: z.string().optional(),
  PLUCK_HOME: z.string().default(".pluck"),
  /** Mounts without any access end by the agent itself after this, should no coordinator do it. */
  PLUCK_IDLE_TIMEOUT_S: z.coerce.number().int().min(1).default(3600),
  PLUCK_HEARTBEAT_S: z.coerce.number().min(0.1).max(600).default(5),
  PLUCK_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
});
export type AgentConfig = z.infer<typeof agentConfigSchema>;

/** Reads the environment; a variable that is set to nothing counts as not set. */
export function parseAgentConfig(environment: NodeJS.ProcessEnv): ReturnType<typeof agentConfigSchema.safeParse> {
  return agentConfigSchema.safeParse(Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== "")));
}
