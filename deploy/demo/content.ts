import { createCipheriv, createHash } from "node:crypto";
import { crc32, deflateSync } from "node:zlib";

/** Made-up contents that real programs open: the same at every build. */

/** Bytes that don't compress, the same for the same seed. */
export function noise(seed: string, lengthBytes: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16)).update(Buffer.alloc(lengthBytes));
}

/** A whole number in [0, below), the same for the same seed. */
export function pick(seed: string, below: number): number {
  // FNV-1a, then a mix: hundreds of thousands of words are picked, a real hash would take seconds.
  let hash = 0x811c9dc5;
  for (let index = 0; index < seed.length; index += 1) hash = Math.imul(hash ^ seed.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return ((hash ^ (hash >>> 13)) >>> 0) % below;
}

const words =
  "backup restore disk volume table index query vacuum schema server client packet module service kernel driver network address memory thread buffer release option default value string number record field column commit branch merge review report budget quarter invoice customer order shipment contract meeting agenda summary figure measure result method sample".split(
    " ",
  );

export function sentence(seed: string, wordCount: number): string {
  const chosen = Array.from({ length: wordCount }, (_, index) => words[pick(`${seed}:${index}`, words.length)] ?? "");
  return `${chosen.join(" ").replace(/^./, (first) => first.toUpperCase())}.`;
}

export function paragraphs(seed: string, count: number): string {
  return Array.from({ length: count }, (_, index) => [0, 1, 2].map((part) => sentence(`${seed}/${index}/${part}`, 9)).join(" ")).join("\n\n") + "\n";
}

/** Log lines, oldest first, `stepMs` apart, ending at `endMs`. */
export function logLines(program: string, endMs: number, count: number, stepMs: number): string {
  const lines = Array.from({ length: count }, (_, index) => {
    const at = new Date(endMs - (count - 1 - index) * stepMs).toISOString();
    return `${at} pgtest1 ${program}[${600 + (index % 7)}]: ${sentence(`${program}:${index % 97}`, 7)}`;
  });
  return lines.join("\n") + "\n";
}

/** A picture that viewers open: a grainy gradient, so that its size is that of a photo. */
export function png(seed: string, width: number, height: number): Buffer {
  const rowBytes = 1 + width * 3;
  const grain = noise(seed, width * 3);
  const raw = Buffer.alloc(rowBytes * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width * 3; x += 1) {
      const shade = ((x * 128) / (width * 3) + (y * 127) / height) | 0;
      raw[y * rowBytes + 1 + x] = shade ^ ((grain[(x * 31 + y * 17) % grain.length] ?? 0) & 0x1f);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(raw, { level: 1 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** A one-page PDF with one line of text. */
export function pdf(text: string): string {
  const stream = `BT /F1 18 Tf 72 720 Td (${text.replace(/[\\()]/g, "\\$&")}) Tj ET`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  ];
  let body = "%PDF-1.4\n";
  const offsets = objects.map((object, index) => {
    const offset = body.length;
    body += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const rows = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  return `${body}xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${body.length}\n%%EOF\n`;
}

export function csv(seed: string, rowCount: number): string {
  const rows = Array.from({ length: rowCount }, (_, index) => {
    const cents = pick(`${seed}:${index}`, 500_000);
    return `${index + 1},2025-09-${String(1 + (index % 30)).padStart(2, "0")},"${sentence(`${seed}/${index % 61}`, 4)}",${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
  });
  return `number,day,what,amount\n${rows.join("\n")}\n`;
}

/** A POSIX ACL as getxattr("system.posix_acl_access") returns it: version 2, then tag, permissions, id. */
export function posixAcl(entries: readonly { readonly tag: number; readonly permissions: number; readonly id?: number }[]): Buffer {
  const bytes = Buffer.alloc(4 + entries.length * 8);
  bytes.writeUInt32LE(2, 0);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + index * 8);
    bytes.writeUInt16LE(permissions, 6 + index * 8);
    bytes.writeUInt32LE(id ?? 0xffff_ffff, 8 + index * 8);
  }
  return bytes;
}
