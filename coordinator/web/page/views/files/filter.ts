/**
 * Whether a name is what somebody looks for: words anywhere in it, in any case; with "*" or "?" a
 * pattern for the whole name.
 */
export function nameMatcher(typed: string): ((name: string) => boolean) | undefined {
  const wanted = typed.trim().toLowerCase();
  if (wanted === "") return undefined;
  if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
  // Stars in a row mean what one does, and would only make the pattern slow.
  const pattern = wanted.replace(/\*+/g, "*").replace(/[.+^${}()|[\]\\*?]/g, (sign) => (sign === "*" ? "[^]*?" : sign === "?" ? "[^]" : `\\${sign}`));
  const expression = new RegExp(`^${pattern}$`, "i");
  return (name) => expression.test(name);
}
