/**
 * The one spelling of a file's path in its repository: without empty and "." parts, and without ".."
 * where a name before it can be taken away. So one file is not on record under several names. A ".."
 * that leads above the start stays, for the agent to refuse.
 *
 * By spelling alone, so `link/../a` is `a` even where `link` leads elsewhere: what is checked, kept and
 * opened is the result.
 */
export function toPlainPath(path: string): string {
  const isAbsolute = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && isAbsolute && parts.length === 0) continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return `${isAbsolute ? "/" : ""}${parts.join("/")}`;
}
