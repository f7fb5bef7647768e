import { Coordinator } from "../api/coordinator.ts";
import { note, printJson, print } from "../context.ts";
import { Failure } from "../output/failure.ts";
import { askSecret, secretFromStdin } from "../settings/secret-input.ts";
import { forgetLogin, loginFile, parseUrl, storeLogin } from "../settings/settings.ts";

export interface LoginOptions {
  readonly json?: boolean;
  readonly tokenStdin?: boolean;
}

/** Asks for a token, tries it, and stores it. */
export async function login(address: string, { json, tokenStdin }: LoginOptions, signal: AbortSignal): Promise<void> {
  const url = parseUrl(address);
  const token = (tokenStdin === true ? await secretFromStdin() : process.env["PLUCK_TOKEN"] || (await askSecret(`Token for ${url}: `, "--token-stdin or PLUCK_TOKEN"))).trim();
  if (token === "" || /[^\x21-\x7e]/.test(token)) throw new Failure("usage", "The token is empty, or no token at all.", "An administrator makes one: POST /api/v1/tokens.");
  const { name, role } = await new Coordinator({ url, token }, signal).session().catch((error: unknown) => {
    if (error instanceof Failure && error.code === "unauthenticated") throw new Failure("unauthenticated", `${url} does not know this token.`, "Check that it is whole and not expired; nothing was stored.");
    throw error;
  });
  if (typeof name !== "string") throw new Failure("bad_answer", `${url} does not answer as a Pluck does.`);
  const file = await storeLogin({ url, token });
  const { protocol, hostname } = new URL(url);
  if (protocol === "http:" && !/^(localhost|127\.|\[::1\]$)/.test(hostname)) note("The token goes over this network unencrypted: https would keep it to you.");
  if (json === true) await printJson({ url, name, role, file });
  else await print(`Signed in at ${url} as ${name} (${role}); stored in ${file}.\n`);
}

export async function logout({ json }: { json?: boolean }): Promise<void> {
  const was = await forgetLogin();
  if (json === true) await printJson({ signed_out: was });
  else await print(was ? `Removed ${loginFile()}.\n` : "Nobody was signed in.\n");
}
