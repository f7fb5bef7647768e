// Intents announce work that takes several transactions, and are taken back by a done item of the same number. Those
// still open when the log ends are work that Linux finishes when it mounts. Freeing space and counting references and
// owners change nothing that a reader sees; mapping blocks, exchanging files and setting attributes do.
// Source: "XFS Algorithms & Data Structures" (intent items), Linux fs/xfs/libxfs/xfs_log_format.h (xfs_bui_log_format,
// xfs_attri_log_format, xfs_xmi_log_format), little-endian.
//
// All begin with u16 type, u16 regions, 4 bytes, and the number: u64 at byte 8 (bui: u32 count at byte 4).
// Mapping (bui), for each extent from byte 16 on:
// 0      | 8    | me_owner      | inode
// 8      | 8    | me_startblock |
// 16     | 8    | me_startoff   | block within the fork
// 24     | 4    | me_len        |
// 28     | 4    | me_flags      | low byte: 1 map, 2 unmap; bit 31 attribute fork, 30 unwritten, 29 realtime
// Attribute (attri):
// 16     | 8    | alfi_ino      |
// 24     | 4    | alfi_op_flags | low byte: 1 set, 2 remove, 3 replace; from 4 on parent pointers
// 28     | 4    | alfi_name_len |
// 32     | 4    | alfi_value_len|
// 36     | 4    | alfi_attr_filter | namespace
// then regions of the name and the value
// Exchange (xmi): see exchange.ts
import { corrupt } from "../../../blocks/disk-error.ts";
import { toByteString } from "../../byte-string.ts";
import { findBlockOffset } from "../addresses.ts";
import { hole } from "../extent-record.ts";
import type { PendingChanges } from "../pending-changes.ts";
import type { Superblock } from "../superblock.ts";
import { parseExchange } from "./exchange.ts";
import type { LogItem } from "./transactions.ts";

const mapFlags = { map: 1, unmap: 2, mask: 0xff, unwritten: 0x40000000, otherFork: 0xa0000000 } as const;
const attributeOperations = { set: 1, remove: 2, replace: 3 } as const;
const mapHeaderBytes = 16;
const mapExtentBytes = 32;
const attributeHeaderBytes = 40;
const largestExtentBlocks = 2 ** 32;

type IntentKind = "map" | "attribute" | "exchange";

/** The intents that no done item has taken back yet. */
export class Intents {
  readonly #open = new Map<string, { readonly kind: IntentKind; readonly item: LogItem }>();

  announce(kind: IntentKind, item: LogItem): void {
    this.#open.set(keyOf(kind, item), { kind, item });
  }

  done(kind: IntentKind, item: LogItem): void {
    this.#open.delete(keyOf(kind, item));
  }

  /** What the open ones would have changed, in the order of the log. */
  collect(superblock: Superblock, changes: PendingChanges): void {
    for (const { kind, item } of this.#open.values()) {
      if (kind === "map") collectMappings(superblock, item, changes);
      else if (kind === "attribute") collectAttribute(item, changes);
      else changes.exchanges.push(parseExchange(item.regions[0]!));
    }
  }
}

function keyOf(kind: IntentKind, item: LogItem): string {
  const format = item.regions[0]!;
  if (format.length < 16) throw corrupt("XFS log intent item", undefined, `${format.length} bytes`);
  return `${kind} ${format.readBigUInt64LE(8)}`;
}

function collectMappings(superblock: Superblock, item: LogItem, changes: PendingChanges): void {
  const format = item.regions[0]!;
  const fail = (found: string) => corrupt("XFS log mapping intent", undefined, found);
  const count = format.readUInt32LE(4);
  if (mapHeaderBytes + count * mapExtentBytes > format.length) throw fail(`${count} extents in ${format.length} bytes`);
  for (let index = 0; index < count; index++) {
    const at = mapHeaderBytes + index * mapExtentBytes;
    const inode = Number(format.readBigUInt64LE(at));
    const flags = format.readUInt32LE(at + 28);
    const operation = flags & mapFlags.mask;
    if (operation !== mapFlags.map && operation !== mapFlags.unmap) throw fail(`flags 0x${flags.toString(16)}`);
    // Contents of the attribute fork are found again by their names, and realtime files are not read.
    if ((flags & mapFlags.otherFork) !== 0) continue;
    const blocks = format.readUInt32LE(at + 24);
    let offsetBytes: number | undefined = hole;
    if (operation === mapFlags.map && (flags & mapFlags.unwritten) === 0) {
      offsetBytes = findBlockOffset(superblock, Number(format.readBigUInt64LE(at + 8)), Math.min(blocks, largestExtentBlocks));
      if (offsetBytes === undefined) throw fail(`maps blocks outside the volume into inode ${inode}`);
    }
    append(changes.remapped, inode, { logical: Number(format.readBigUInt64LE(at + 16)), count: blocks, offsetBytes });
  }
}

function collectAttribute(item: LogItem, changes: PendingChanges): void {
  const [format, name, value] = item.regions;
  const fail = (found: string) => corrupt("XFS log attribute intent", undefined, found);
  if (format === undefined || format.length < attributeHeaderBytes) throw fail(`${format?.length ?? 0} bytes`);
  const operation = format.readUInt32LE(24) & 0xff;
  if (operation > attributeOperations.replace) return;
  const nameLength = format.readUInt32LE(28);
  const valueLength = format.readUInt32LE(32);
  if (name === undefined || nameLength > name.length) throw fail(`a name of ${nameLength} bytes`);
  const isRemoved = operation === attributeOperations.remove;
  if (!isRemoved && valueLength > (value?.length ?? 0)) throw fail(`a value of ${valueLength} bytes`);
  append(changes.attributes, Number(format.readBigUInt64LE(16)), {
    namespace: format.readUInt32LE(36),
    name: toByteString(name, 0, nameLength),
    value: isRemoved ? undefined : Uint8Array.from(value?.subarray(0, valueLength) ?? []),
  });
}

function append<Value>(lists: Map<number, Value[]>, key: number, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
