// Names in directories with the casefold flag are equal when their case-folded forms are.
// Linux folds by Unicode 12.1 NFDICF: canonical decomposition, ignorable code points dropped, full
// case folding. Here Unicode's own tables in the engine do the same.
import { byteStringToBytes, isAscii, type ByteString } from "../byte-string.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ignorable = /\p{Default_Ignorable_Code_Point}/gu;

/** The folded form of a name; undefined when it isn't UTF-8 and so equals only itself. */
export function foldCase(name: ByteString): string | undefined {
  if (isAscii(name)) return name.toLowerCase();
  let text: string;
  try {
    text = decoder.decode(byteStringToBytes(name));
  } catch {
    return undefined;
  }
  // Upper case first: it spells out what folds to several letters. The final sigma depends on its neighbours.
  const folded = text.normalize("NFD").toUpperCase().toLowerCase().replaceAll("\u03c2", "\u03c3");
  return folded.normalize("NFD").replace(ignorable, "");
}
