// The master boot record and the extended boot records that chain logical partitions. Sources: UEFI specification
// 2.10, section 5.2 (Legacy Master Boot Record); behaviour where the table is odd: the Linux kernel's
// block/partitions/msdos.c, so that numbers and ranges are those of /dev/sdXN.
//
//   Offset | Size | Field          | Meaning
//   440    | 4    | disk signature | little-endian, part of the partitions' PARTUUID
//   446    | 64   | entries        | four of 16 bytes
//   510    | 2    | signature      | 55 AA
//
// An entry:
//   Offset | Size | Field      | Meaning
//   0      | 1    | boot flag  | 0x00 or 0x80
//   4      | 1    | type       | 0x05, 0x0f and 0x85 hold logical partitions, 0xee protects a GPT
//   8      | 4    | start      | in sectors, from the disk (in an EBR: from the EBR, or from the container)
//   12     | 4    | count      | in sectors; 0: unused

export interface MbrEntry {
  /** 0 to 3. */
  readonly slot: number;
  readonly bootFlag: number;
  readonly type: number;
  readonly startSector: number;
  readonly sectorCount: number;
}

export interface BootRecord {
  readonly diskSignature: number;
  readonly entries: readonly MbrEntry[];
}

export const MBR_BYTES = 512;
const ENTRIES_OFFSET = 446;
const ENTRY_BYTES = 16;
const SIGNATURE_OFFSET = 510;

const TYPE_GPT_PROTECTIVE = 0xee;
const EXTENDED_TYPES: ReadonlySet<number> = new Set([0x05, 0x0f, 0x85]);

/** An MBR or EBR; undefined when its two signature bytes are not there. */
export function parseBootRecord(sector: Uint8Array): BootRecord | undefined {
  if (sector.length < MBR_BYTES) return undefined;
  const view = new DataView(sector.buffer, sector.byteOffset, MBR_BYTES);
  if (view.getUint16(SIGNATURE_OFFSET, false) !== 0x55aa) return undefined;
  const entries = [0, 1, 2, 3].map((slot): MbrEntry => {
    const at = ENTRIES_OFFSET + slot * ENTRY_BYTES;
    return {
      slot,
      bootFlag: view.getUint8(at),
      type: view.getUint8(at + 4),
      startSector: view.getUint32(at + 8, true),
      sectorCount: view.getUint32(at + 12, true),
    };
  });
  return { diskSignature: view.getUint32(440, true), entries };
}

export function isExtended(entry: MbrEntry): boolean {
  return EXTENDED_TYPES.has(entry.type);
}

/** True when any entry says that a GPT describes the disk, alone (protective) or beside others (hybrid). */
export function protectsGpt(record: BootRecord): boolean {
  return record.entries.some((entry) => entry.type === TYPE_GPT_PROTECTIVE);
}

/** True when some entry describes a partition. */
export function hasPartitions(record: BootRecord): boolean {
  return record.entries.some((entry) => entry.sectorCount > 0);
}

/** False when a boot flag is neither 0x00 nor 0x80: then these bytes are boot code or text, not a table. */
export function hasValidBootFlags(record: BootRecord): boolean {
  return record.entries.every((entry) => entry.bootFlag === 0x00 || entry.bootFlag === 0x80);
}
