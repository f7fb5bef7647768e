// Code page 437, the kernel's default for short names (CONFIG_FAT_DEFAULT_CODEPAGE). A volume doesn't say in which
// code page its short names are; long names, which every system since Windows 95 writes, are Unicode.

/** The characters of the bytes 0x80 to 0xff; below, it is ASCII. */
const highHalf =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
  "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

const characters: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte < 0x80 ? String.fromCharCode(byte) : highHalf[byte - 0x80]!,
);

/** Lower case within the page: Γ, Θ and Ω have none in it and stay. */
const lowerCharacters: readonly string[] = characters.map((character) => {
  const lower = character.toLowerCase();
  return characters.includes(lower) ? lower : character;
});

export function fromCodePage437(byte: number): string {
  return characters[byte]!;
}

export function lowerFromCodePage437(byte: number): string {
  return lowerCharacters[byte]!;
}
