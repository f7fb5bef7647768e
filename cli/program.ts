import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { exitCodes, Failure } from "./output/failure.ts";

const remoteHelp = `
Remote names: VM[@point]:disk/path
  pgtest1                      the VM; its restore points
  pgtest1:                     the disks of its latest complete restore point
  pgtest1:0                    the volumes of disk 0
  pgtest1:0/p2/etc/hosts       a file on its second partition
  pgtest1@-1:0/p2/etc/hosts    in the restore point before the latest
  pgtest1@2025-10-08:0/p2/etc  in the newest of that day (UTC); also @2025-10-08T1830
  pgtest1@BACKUP_ID:0/p2/etc   in exactly this one
A backslash before @ or : takes it as part of a VM's name; or use --vm.
`;

/** Parses and runs; returns the exit code. @throws Failure */
export async function runCommand(words: readonly string[], signal: AbortSignal): Promise<number> {
  let code: number = exitCodes.ok;
  const { program } = makeProgram(signal, (result) => {
    code = result;
  });
  if (words[0] === "__complete") {
    const { complete } = await import("./complete/complete.ts");
    await complete(program, words.slice(1), signal);
    return code;
  }
  program.version(await readVersion(), "--version", "print the version");
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version were asked for and printed.
    if (error.exitCode === 0 && error.code !== "commander.help") return exitCodes.ok;
    if (error.code === "commander.help") return words.length === 0 ? exitCodes.usage : exitCodes.ok;
    const detail = error.message.replace(/^error: /, "").replace(/\n/g, " ");
    throw new Failure("usage", /[.?)]$/.test(detail) ? detail : `${detail}.`, "`pluck help COMMAND` shows the options.");
  }
  return code;
}

async function readVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, "../package.json"), "utf8")) as { version: string };
  return `pluck ${version}`;
}

/** The commands; what each does is loaded when it is called. */
export function makeProgram(signal: AbortSignal, setCode: (code: number) => void): { program: Command } {
  const program = new Command("pluck")
    .description("Takes single files out of VM backups")
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .showHelpAfterError(false)
    .addHelpText("after", remoteHelp)
    .helpCommand("help [command]", "show the help of a command");

  const command = (usage: string, description: string): Command =>
    program.command(usage).description(description).option("--json", "print JSON (docs/cli.md has the shapes)").exitOverride().configureOutput({ outputError: () => undefined });
  const online = (usage: string, description: string): Command => command(usage, description).option("--url <URL>", "another Pluck than the one signed in at");
  const remote = (usage: string, description: string): Command =>
    online(usage, description)
      .option("--vm <NAME>", "the VM of all names, which then begin at the point or disk: @-1:0/p2, 0/p2")
      .option("--backup <ID>", "the restore point of all names, which then begin at the disk: 0/p2")
      .addHelpText("after", remoteHelp);
  const patient = (one: Command): Command =>
    one
      .addOption(new Option("--retries <N>", "attempts after one that failed and brought nothing").default(8).argParser(number(0, 1000)))
      .addOption(new Option("--wait <SECONDS>", "how long to wait for an export slot").default(60).argParser(number(0, 86_400)));

  command("login <URL>", "sign in with a token, asked for without showing it, or from PLUCK_TOKEN")
    .option("--token-stdin", "read the token from stdin")
    .action(async (url: string, options) => await (await import("./commands/login.ts")).login(url, options, signal));
  command("logout", "forget address and token").action(async (options) => await (await import("./commands/login.ts")).logout(options));

  online("vms [SEARCH]", "list VMs; SEARCH is in their name or site").action(async (search: string | undefined, options) => await (await import("./commands/catalog.ts")).vms(search, options, signal));
  online("backups <VM>", "list the restore points of a VM, newest first").action(async (vm: string, options) => await (await import("./commands/catalog.ts")).backups(vm, options, signal));
  remote("ls [REMOTE]", "list what a name holds: restore points, disks, volumes, a folder")
    .option("-l, --long", "type, mode, owner, size and time (UTC) too")
    .option("-0, --nul", "raw names, each ended by a NUL byte")
    .action(async (name: string | undefined, options) => await (await import("./commands/ls.ts")).ls(name, options, signal));
  remote("tree <REMOTE>", "list all below a folder")
    .addOption(new Option("-d, --depth <N>", "so many levels deep").argParser(number(1, 4096)))
    .option("-0, --nul", "raw paths, each ended by a NUL byte")
    .action(async (name: string, options) => await (await import("./commands/tree.ts")).tree(name, options, signal));
  remote("stat <REMOTE>", "show all there is to know of one file or folder")
    .option("--hash", "its SHA-256 too")
    .action(async (name: string, options) => await (await import("./commands/stat.ts")).stat(name, options, signal));
  patient(remote("cat <REMOTE...>", "send files to stdout"))
    .option("--as-is", "control characters too, when stdout is a terminal")
    .option("--raw", "the names are volumes: send their bytes as the disk holds them")
    .action(async (names: string[], options) => await (await import("./commands/cat.ts")).cat(names, options, signal));
  patient(remote("get <REMOTE...>", "download files and folders; run again, it goes on where it stopped"))
    .option("-o, --output <PATH>", "the folder to put them in (default: this one); with --archive the file")
    .addOption(new Option("-j, --jobs <N>", "files at once").default(4).argParser(number(1, 64)))
    .option("-f, --force", "overwrite files that are there and differ")
    .option("--owner", "as root: set owners, and setuid and the like, too")
    .addOption(new Option("--verify <HASH>", "compare with the hash that the agent computes").choices(["sha256"]))
    .option("-L, --follow", "get what a given name points to when it is a symlink")
    .option("--raw", "the names are volumes: get their bytes as the disk holds them")
    .option("--archive <FORMAT>", "all as one archive: zip, tar, tar.gz or tar.zst; to stdout without -o")
    .option("-q, --quiet", "only errors")
    .action(async (names: string[], options: { archive?: string; output?: string }) => {
      // The options are commander's to know; each command says what it takes.
      if (options.archive !== undefined) await (await import("./commands/get-archive.ts")).getArchive(names, options as never, signal);
      else setCode(await (await import("./commands/get.ts")).get(names, { ...options, output: options.output ?? "." } as never, signal));
    });

  online("mounts", "list open disks").action(async (options) => await (await import("./commands/mounts.ts")).mounts(options, signal));
  remote("mount <REMOTE...>", "open disks and leave them open").action(async (names: string[], options) => await (await import("./commands/mounts.ts")).mount(names, options, signal));
  remote("umount <MOUNT_OR_REMOTE...>", "end mounts, by their id or the name of a disk").action(async (names: string[], options) => await (await import("./commands/mounts.ts")).umount(names, options, signal));
  remote("unlock <REMOTE>", "open an encrypted volume (VM:disk/volume); its passphrase is asked for without showing it")
    .option("--passphrase-stdin", "read the passphrase from stdin")
    .option("--key-file <FILE>", "use a keyfile; - is stdin")
    .action(async (name: string, options) => await (await import("./commands/mounts.ts")).unlock(name, options, signal));
  remote("link <REMOTE>", "make a signed link to hand on; it needs no token")
    .option("--ttl <TIME>", "its life: 90s, 30m, 12h, 7d (default: 5m)")
    .option("--browse", "for looking into a folder and all below it, not for downloading")
    .addOption(new Option("--archive <FORMAT>", "for a folder (default: zip)").choices(["zip", "tar", "tar.gz", "tar.zst"]))
    .option("--raw", "the name is a volume: link to its bytes as the disk holds them")
    .action(async (name: string, options) => await (await import("./commands/mounts.ts")).link(name, options, signal));

  online("agents", "list agents and repositories").action(async (options) => await (await import("./commands/sites.ts")).agents(options, signal));
  online("events", "show the audit trail, newest first")
    .addOption(new Option("-n, --limit <N>", "so many").default(50).argParser(number(1, 1_000_000)))
    .option("--type <TYPE>", "only of this type, such as mount or transfer_finished")
    .option("--actor <NAME>", "only what this token did")
    .option("--backup <ID>", "only of this restore point")
    .option("--mount <ID>", "only of this mount")
    .option("--since <TIME>", "only from then on: 2025-10-08, 2025-10-08T18:30:00Z")
    .option("--until <TIME>", "only until then")
    .action(async (options) => await (await import("./commands/sites.ts")).events(options, signal));
  online("register <VM>", "register a finished backup")
    .requiredOption("--repository <ID>", "where its files are")
    .requiredOption("--disk <[INDEX=]PATH...>", "its qcow2 files, relative to the repository; numbered from 0 where no index is given")
    .option("--id <BACKUP_ID>", "its id (default: made up)")
    .addOption(new Option("--type <TYPE>", "what it is (default: as the files say)").choices(["full", "incremental"]))
    .option("--completed-at <TIME>", "when it was complete (default: as the files say)")
    .action(async (vm: string, options) => await (await import("./commands/sites.ts")).register(vm, options, signal));
  online("scan [REPOSITORY]", "find and register new restore points of one repository, or of all").action(async (repository: string | undefined, options) =>
    setCode(await (await import("./commands/sites.ts")).scan(repository, options, signal)),
  );

  program
    .command("completion <SHELL>")
    .description("print completion for bash, zsh or fish")
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .action(async (shell: string) => {
      const { completionScripts } = await import("./complete/scripts.ts");
      if (!Object.hasOwn(completionScripts, shell)) throw new Failure("usage", `There is no completion for "${shell}".`, "There is one for bash, zsh and fish.");
      const { print } = await import("./context.ts");
      await print(completionScripts[shell as keyof typeof completionScripts]);
    });
  return { program };
}

function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}
