import { readFile } from "node:fs/promises";
import { Failure } from "../output/failure.ts";

/** Longer than any token or passphrase. */
const maxSecretBytes = 64 * 1024;

/**
 * Asks on the terminal without showing what is typed.
 * @param how what to use where there is no terminal, for the error
 * @throws Failure usage without a terminal, interrupted on Ctrl-C
 */
export async function askSecret(question: string, how: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) throw new Failure("usage", "There is no terminal to ask on.", `Use ${how}.`);
  stdin.setRawMode(true);
  stderr.write(question);
  stdin.setEncoding("utf8");
  try {
    let typed = "";
    for await (const chunk of stdin) {
      for (const character of chunk as string) {
        if (character === "\r" || character === "\n") return typed;
        if (character === "\u0003") throw new Failure("interrupted", "Nothing was entered.", "");
        if (character === "\u0004" && typed === "") throw new Failure("usage", "Nothing was entered.", `Use ${how}.`);
        if (character === "\u007f" || character === "\b") typed = [...typed].slice(0, -1).join("");
        else if (character === "\u0015") typed = "";
        else if (character >= " ") typed += character;
      }
    }
    return typed;
  } finally {
    stderr.write("\n");
    // The loop's end destroyed the stream; its mode is the terminal's.
    if (stdin.isTTY) stdin.setRawMode(false);
  }
}

/** The first line of stdin, or all of it without one line feed at its end. */
export async function secretFromStdin(): Promise<string> {
  return (await readStdin()).toString("utf8").replace(/\r?\n$/, "");
}

/** The exact bytes of a keyfile; "-" is stdin. */
export async function readKeyFile(path: string): Promise<Buffer> {
  if (path === "-") return await readStdin();
  return await readFile(path);
}

async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let lengthBytes = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    lengthBytes += (chunk as Buffer).length;
    if (lengthBytes > maxSecretBytes) throw new Failure("usage", `More than ${maxSecretBytes} bytes came on stdin.`, "Give the secret alone.");
  }
  return Buffer.concat(chunks);
}
