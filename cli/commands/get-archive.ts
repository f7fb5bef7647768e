import { createWriteStream } from "node:fs";
import { link, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { problemOf, reach, toReachFailure } from "../api/coordinator.ts";
import { note, print, printJson, withSession, type CommonOptions, type Session } from "../context.ts";
import { exists } from "../download/part-file.ts";
import { Failure } from "../output/failure.ts";
import { formatBytes, formatDuration } from "../output/format.ts";
import { Progress } from "../output/progress.ts";

export const archiveFormats = ["zip", "tar", "tar.gz", "tar.zst"] as const;

export interface ArchiveOptions extends CommonOptions {
  readonly archive: string;
  /** A file; undefined or "-" for stdout. */
  readonly output: string | undefined;
  readonly force?: boolean;
  readonly wait: number;
  readonly quiet?: boolean;
}

interface CreatedArchive {
  readonly url: string;
  readonly selection: string;
}

/** Everything named as one archive, streamed: under its name only when it is whole. */
export async function getArchive(names: readonly string[], options: ArchiveOptions, signal: AbortSignal): Promise<void> {
  const { archive: format, output } = options;
  if (!archiveFormats.some((known) => known === format)) throw new Failure("usage", `"${format}" is no format of an archive.`, `There are ${archiveFormats.join(", ")}.`);
  const toStdout = output === undefined || output === "-";
  if (toStdout && process.stdout.isTTY) throw new Failure("usage", "An archive is not for a terminal.", "Name a file with -o, or pipe it.");
  if (toStdout && options.json === true) throw new Failure("usage", "--json and an archive can't both go to stdout.", "Name a file with -o.");
  await withSession(options, signal, async (session) => {
    const response = await request(session, names, format, options.wait);
    const progress = new Progress(process.stderr.isTTY && options.json !== true && options.quiet !== true);
    progress.addTotal(0);
    let bytes = 0;
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunksOf(response, signal)) {
        bytes += chunk.length;
        progress.addTotal(chunk.length, 0);
        progress.addBytes(chunk.length);
        yield chunk;
      }
    };
    try {
      if (toStdout) for await (const chunk of counted()) await print(chunk);
      else await writeWhole(output, counted(), options.force === true, signal);
    } finally {
      progress.stop();
    }
    if (options.json === true) await printJson({ file: output, format, bytes, seconds: Math.round(progress.seconds * 1000) / 1000 });
    else if (!toStdout && options.quiet !== true) note(`${output}: ${formatBytes(bytes)} in ${formatDuration(progress.seconds)}`);
  });
}

async function request(session: Session, names: readonly string[], format: string, waitS: number): Promise<Response> {
  const items: { mount_id: string; path: string }[] = [];
  for (const name of names) {
    const resolved = await session.resolve(name);
    const { mount } = await session.open(resolved, waitS);
    items.push({ mount_id: mount.mount_id, path: resolved.path });
  }
  const { body } = await session.coordinator.call("POST", "/restore/archives", { format, items });
  const { url, selection } = body as CreatedArchive;
  const response = await reach(url, { method: "POST", body: new URLSearchParams({ selection }), signal: session.signal });
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function* chunksOf(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response.body ?? [];
  } catch (error) {
    if (signal.aborted) throw toReachFailure(response.url, error, signal);
    throw new Failure("incomplete", "The archive broke off: something in it can't be read, or the connection was lost.", "Nothing was kept. `pluck get` without --archive gets what can be read, and resumes.", { cause: error });
  }
}

async function writeWhole(file: string, chunks: AsyncIterable<Uint8Array>, force: boolean, signal: AbortSignal): Promise<void> {
  const draft = join(dirname(file), `.${basename(file)}.${process.pid}.pluck-part`);
  try {
    await pipeline(chunks, createWriteStream(draft, { flags: "wx", mode: 0o666 }), { signal });
    if (force) {
      await rename(draft, file);
      return;
    }
    await link(draft, file).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === "EEXIST" ? exists(file) : error;
    });
  } finally {
    await rm(draft, { force: true });
  }
}
