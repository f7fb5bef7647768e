import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from "pino";

/** JSON lines on stderr; stdout belongs to whoever started us. No token, link or SQL parameter reaches it. */
export function createLogger(level: string, stream: DestinationStream = destination({ dest: 2, sync: false })): Logger {
  return pino(
    {
      level,
      base: { part: "coordinator" },
      timestamp: stdTimeFunctions.isoTime,
      redact: { paths: ["token", "*.token", "authorization", "*.authorization", "password", "*.password", "broker_password", "*.broker_password"], censor: "(hidden)" },
      serializers: { err: describeError, error: describeError },
    },
    stream,
  );
}

/** An error for the log: its class, code, message, stack and causes; not its further members, which may hold queries. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === "object" ? "(not an Error)" : error;
  const code: unknown = Reflect.get(error, "code");
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    message: hideParameters(error.message),
    stack: hideParameters(error.stack ?? ""),
    ...(error.cause === undefined || depth >= 4 ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** The query builder writes the statement and its parameters into its message; tokens and paths are among them. */
function hideParameters(text: string): string {
  return text.replace(/^params: .*$/gm, "params: (hidden)");
}
