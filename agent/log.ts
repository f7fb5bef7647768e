import { pino, type Logger } from "pino";

/** Where a token, a password or a link could stand in what is logged. */
const redacted = ["token", "*.token", "password", "*.password", "authorization", "*.authorization", "headers.authorization", "*.headers.authorization", "url", "*.url", "req.url"];

/** JSON lines on stderr: stdout stays for whoever starts the agent. */
export function createLogger(level: string): Logger {
  return pino({ level, base: { service: "agent" }, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths: redacted, censor: "[redacted]" } }, pino.destination({ dest: 2, sync: true }));
}
