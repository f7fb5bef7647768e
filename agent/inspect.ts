// Looks into a disk image without any server:  node agent/inspect.ts ls|stat|cat|tree IMAGE [PATH] [--root FOLDER]
import { parseArgs } from "node:util";
import { parseGuestPath } from "../shared/guest-path.ts";
import { type CommandName, commands, OutputClosed } from "./inspect/commands.ts";
import { showName } from "./inspect/format.ts";
import { openImage } from "./inspect/open-image.ts";
import { toReaderError } from "./reader/reader-error.ts";

const usage = `usage: inspect ls|stat|cat|tree IMAGE [PATH] [--root FOLDER]

  ls    a folder's entries; for / the volumes, with type, size, label, state or why they can't be read
  stat  everything about one entry, with its extended attributes
  cat   a file's bytes
  tree  a folder and all below it

IMAGE is a qcow2 file, whose backing files must lie in FOLDER (default: beside it), or a raw image.
PATH names a volume and what is in it: /p2/etc/hosts. Bytes may be written as %XX.
Exit codes: 0 done, 1 something could not be read, 2 not understood.`;

interface Request {
  readonly command: CommandName;
  readonly image: string;
  readonly segments: readonly string[];
  readonly root: string | undefined;
}

function parseRequest(args: readonly string[]): Request | undefined {
  try {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { root: { type: "string" } } });
    const [command, image, path = "/", ...rest] = positionals;
    const segments = parseGuestPath(path);
    if (command === undefined || !Object.hasOwn(commands, command) || image === undefined || segments === undefined || rest.length > 0) return undefined;
    return { command: command as CommandName, image, segments, root: values.root };
  } catch {
    return undefined;
  }
}

async function run({ command, image, segments, root }: Request): Promise<number> {
  try {
    const opened = await openImage(image, root);
    try {
      return (await commands[command](opened.disk, { segments, withinDepth: 0 }, process.stdout)) ? 0 : 1;
    } finally {
      await opened.close();
    }
  } catch (error) {
    // Whoever reads the output may stop early: `inspect cat … | head`.
    if (error instanceof OutputClosed) return 1;
    const { code, message } = toReaderError(error, image);
    process.stderr.write(`${code}: ${showName(Buffer.from(message).toString("latin1"))}\n`);
    return 1;
  }
}

// The next write finds out; without a listener the process would end here and leave qemu-nbd's folder behind.
process.stdout.on("error", () => undefined);

const request = parseRequest(process.argv.slice(2));
if (request === undefined) {
  process.stderr.write(`${usage}\n`);
  process.exitCode = 2;
} else {
  const code = await run(request);
  // Nothing is left to wait for but timers that no longer matter.
  process.stdout.write("", () => process.exit(code));
}
