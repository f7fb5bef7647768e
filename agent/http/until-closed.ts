import type { ServerResponse } from "node:http";
import { PluckError } from "../../shared/errors.ts";

/** After this the system asks whether a client that waits in silence is still there. */
const keepAliveDelayMs = 60_000;

/**
 * For work that sends nothing until it is done: tells when the client goes away, and keeps the server
 * from taking the silence for a stalled client.
 */
export function untilClosed(outgoing: ServerResponse | undefined): { readonly gone: AbortSignal; release(): void } {
  const gone = new AbortController();
  const socket = outgoing?.socket ?? undefined;
  const timeoutMs = socket?.timeout ?? 0;
  const onClose = (): void => gone.abort(new PluckError("internal", "The client went away."));
  outgoing?.on("close", onClose);
  socket?.setTimeout(0);
  socket?.setKeepAlive(true, keepAliveDelayMs);
  if (socket?.destroyed === true) onClose();
  return {
    gone: gone.signal,
    release() {
      outgoing?.off("close", onClose);
      socket?.setTimeout(timeoutMs);
    },
  };
}
