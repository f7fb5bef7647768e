import { safeFileName } from "./visible-name.ts";

/** Longest argument that Linux takes (MAX_ARG_STRLEN, 128 KiB), with room for what stands around it. */
const maxArgumentLength = 120_000;

/** One word of a POSIX shell, whatever it holds. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Fetches a file, and goes on where an earlier run of the same line was cut. */
export function curlForFile(url: string, name: string): string {
  return `curl -fL -C - -o ${outputName(name)} ${shellQuote(url)}`;
}

/** Fetches what is made as it is sent: an archive, a listing. */
export function curlForStream(url: string, name: string): string {
  return `curl -fL -o ${outputName(name)} ${shellQuote(url)}`;
}

/** Posts a selection and keeps the archive that comes for it. */
export function curlForSelection(url: string, selection: string, name: string): string {
  const output = outputName(name);
  const field = shellQuote(`selection=${selection}`);
  if (field.length < maxArgumentLength) return `curl -f -o ${output} --data-urlencode ${field} ${shellQuote(url)}`;
  // printf is part of the shell, and so has no such bound.
  return `printf %s ${shellQuote(selection)} | curl -f -o ${output} --data-urlencode selection@- ${shellQuote(url)}`;
}

/** A name that is a word, and no option of curl's. */
function outputName(name: string): string {
  const safe = safeFileName(name);
  return shellQuote(safe.startsWith("-") ? `./${safe}` : safe);
}
