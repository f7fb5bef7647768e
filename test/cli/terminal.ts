import { execa } from "execa";

/** Runs its arguments on a pseudo-terminal of 100 columns; stdin and stdout are the terminal's other side. */
const script = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
import selectors
ready = selectors.DefaultSelector()
ready.register(terminal, selectors.EVENT_READ)
ready.register(0, selectors.EVENT_READ)
while True:
    over = False
    for key, _ in ready.select():
        try:
            data = os.read(key.fd, 65536)
        except OSError:
            data = b""
        if not data:
            over = over or key.fd == terminal
            if key.fd == 0: ready.unregister(0)
        else:
            os.write(1 if key.fd == terminal else terminal, data)
    if over: break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
`;

export interface Terminal {
  readonly pid: number;
  /** All that the terminal got so far. */
  output(): string;
  type(keys: string): void;
  /** Waits until the terminal shows it, after what earlier waits found. */
  shows(what: RegExp): Promise<string>;
  /** The program's exit code, when it has ended. */
  ended(): Promise<number | undefined>;
}

const shownWithinMs = 60_000;

export function openTerminal(command: readonly string[], environment: Record<string, string>): Terminal {
  const child = execa("python3", ["-c", script, ...command], { env: { ...environment, TERM: "xterm" }, reject: false, buffer: false });
  let output = "";
  let seen = 0;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const one of waiting) one();
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    wake();
  });
  let isOver = false;
  void child.then(() => {
    isOver = true;
    wake();
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    type: (keys) => void child.stdin.write(keys),
    async shows(what) {
      const end = Date.now() + shownWithinMs;
      for (;;) {
        const match = what.exec(output.slice(seen));
        if (match !== null) {
          seen += match.index + match[0].length;
          return match[0];
        }
        if (isOver || Date.now() > end) throw new Error(`the terminal ${isOver ? "ended" : "waited"} without ${String(what)}:\n${JSON.stringify(output.slice(seen))}`);
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer);
            waiting.delete(done);
            resolve();
          };
          const timer = setTimeout(done, 1000);
          waiting.add(done);
        });
      }
    },
    ended: async () => (await child).exitCode,
  };
}
