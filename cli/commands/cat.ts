import { StringDecoder } from "node:string_decoder";
import { problemOf, reach, toReachFailure } from "../api/coordinator.ts";
import { print, withSession, type CommonOptions } from "../context.ts";
import { isTransient, withRetries } from "../download/retries.ts";
import { OpenDisk } from "../download/open-disk.ts";
import { Failure } from "../output/failure.ts";

export interface CatOptions extends CommonOptions {
  readonly asIs?: boolean;
  readonly raw?: boolean;
  readonly retries: number;
  readonly wait: number;
}

/** Files to stdout, one after the other. On a terminal control characters are shown instead of sent. */
export async function cat(names: readonly string[], options: CatOptions, signal: AbortSignal): Promise<void> {
  const isShown = process.stdout.isTTY && options.asIs !== true;
  await withSession(options, signal, async (session) => {
    for (const name of names) {
      const resolved = await session.resolve(name);
      const disk = await OpenDisk.open(session, resolved, { retries: options.retries, waitS: options.wait });
      const toText = makeVisible();
      await send(disk, resolved.path, name, options, signal, isShown ? async (bytes) => await print(toText(bytes)) : print);
      await disk.end();
    }
  });
}

/** All bytes of one version, or an error: what broke off goes on where it was. */
async function send(disk: OpenDisk, path: string, shown: string, options: CatOptions, signal: AbortSignal, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  let sentBytes = 0;
  let sizeBytes: number | undefined;
  let etag: string | undefined;
  let before = 0;
  await withRetries(
    async () => {
      before = sentBytes;
      if (sizeBytes !== undefined && sentBytes === sizeBytes) return;
      const url = await disk.downloadUrl(path, options.raw === true);
      const response = await reach(url, { signal, headers: etag === undefined || sentBytes === 0 ? {} : { range: `bytes=${sentBytes}-`, "if-range": etag } });
      if (!response.ok) throw await problemOf(response);
      const type = response.headers.get("etag");
      // A folder comes as an archive, without an ETag.
      if (type === null) {
        await response.body?.cancel();
        throw new Failure("not_a_file", `${shown} is a folder.`, "`pluck get --archive tar` sends a folder to stdout.");
      }
      if (etag !== undefined && sentBytes > 0 && (response.status !== 206 || type !== etag)) {
        await response.body?.cancel();
        throw new Failure("incomplete", `${shown} is another file than the one whose first ${sentBytes} bytes were sent.`, "Run the same command again.", { isFinal: true });
      }
      etag = type;
      sizeBytes ??= Number(response.headers.get("content-length"));
      try {
        for await (const bytes of response.body ?? []) {
          await write(bytes);
          sentBytes += bytes.length;
        }
      } catch (error) {
        if (signal.aborted || (error as NodeJS.ErrnoException).code === "EPIPE") throw toReachFailure(url, error, signal);
        throw new Failure("incomplete", `The connection broke off within ${shown}.`, "Run the same command again.", { cause: error });
      }
      if (sentBytes !== sizeBytes) throw new Failure("incomplete", `Of ${shown} came ${sentBytes} of ${sizeBytes} bytes.`, "Run the same command again.");
    },
    { retries: options.retries, signal, hasAdvanced: () => sentBytes > before, onRetry: async (failure) => (isTransient(failure) ? await disk.recover(failure) : undefined) },
  );
}

/** Line feeds and tabs stay; other control characters would be orders to the terminal. */
function makeVisible(): (bytes: Uint8Array) => string {
  const decoder = new StringDecoder("utf8");
  return (bytes) => escapeControls(decoder.write(Buffer.from(bytes)));
}

function escapeControls(text: string): string {
  return text.replace(/(?![\n\t])[\p{Cc}\p{Cf}]/gu, (character) => (character === "\r" ? "" : `\\x${(character.codePointAt(0) ?? 0).toString(16).padStart(2, "0")}`));
}
