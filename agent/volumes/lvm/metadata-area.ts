// The metadata area of an LVM2 physical volume: a header and a ring of text. Source: lvm2's
// lib/format_text/layout.h and format-text.c; all numbers little-endian.
//
//   Offset | Size | Field     | Meaning
//   0      | 4    | checksum  | of the other 508 bytes
//   4      | 16   | magic     | " LVM2 x[5A%r0N*>"
//   20     | 4    | version   | 1
//   24     | 8    | start     | of this area, in bytes from the start of the device
//   32     | 8    | size      | of this area, header included
//   40     | 24 n | locations | the first: the committed text; the second: one being committed
//
// A location: offset (8) in the area, size (8), checksum of the text (4), flags (4; 1: not in use). Text that reaches
// the end of the area goes on at byte 512.
import type { BlockSource } from "../../blocks/block-source.ts";
import { corrupt, unsupported } from "../../blocks/disk-error.ts";
import { toByteString } from "../../filesystems/byte-string.ts";
import { lvmCrc } from "./crc.ts";
import type { Area } from "./label.ts";

const HEADER_BYTES = 512;
const MAGIC = " LVM2 x[5A%r0N*>";
const FLAG_IGNORED = 1;
/** LVM's own areas have a megabyte; groups of tens of thousands of volumes take some tens. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** The committed text of an area; undefined where the area holds none. Throws "corrupt" where it is damaged. */
export async function readMetadataText(source: BlockSource, area: Area): Promise<string | undefined> {
  const header = await source.read(area.offset, HEADER_BYTES);
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  const wrong = (found: string) => corrupt("LVM2 metadata area", area.offset, found);
  const stored = view.getUint32(0, true);
  const computed = lvmCrc(header.subarray(4));
  if (stored !== computed) throw wrong(`checksum 0x${stored.toString(16)}, computed 0x${computed.toString(16)}`);
  if (toByteString(header, 4, 20) !== MAGIC) throw wrong("its magic is not LVM2's");
  const version = view.getUint32(20, true);
  if (version !== 1) throw unsupported(`LVM2 metadata area version ${version}`);
  const start = Number(view.getBigUint64(24, true));
  if (start !== area.offset) throw wrong(`it says that it starts at ${start}`);
  const areaSize = Number(view.getBigUint64(32, true));

  const offset = Number(view.getBigUint64(40, true));
  const size = Number(view.getBigUint64(48, true));
  if (offset === 0 || size === 0 || (view.getUint32(60, true) & FLAG_IGNORED) !== 0) return undefined;
  if (offset < HEADER_BYTES || offset >= areaSize || size > areaSize - HEADER_BYTES || areaSize > source.sizeBytes - start) {
    throw wrong(`${size} bytes of text at ${offset} in an area of ${areaSize}`);
  }
  if (size > MAX_TEXT_BYTES) throw unsupported(`LVM2 metadata of ${size} bytes, more than ${MAX_TEXT_BYTES}`);
  const text = new Uint8Array(size);
  const first = Math.min(size, areaSize - offset);
  await source.readInto(start + offset, text.subarray(0, first));
  if (first < size) await source.readInto(start + HEADER_BYTES, text.subarray(first));
  const textSum = lvmCrc(text);
  if (textSum !== view.getUint32(56, true)) {
    throw corrupt("LVM2 metadata text", start + offset, `checksum 0x${view.getUint32(56, true).toString(16)}, computed 0x${textSum.toString(16)}`);
  }
  return toByteString(text);
}
