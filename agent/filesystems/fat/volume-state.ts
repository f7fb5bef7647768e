// What the volume says of itself outside the boot sector. Source: fatgen103, "FAT32 FSInfo Sector Structure" and the
// notes on FAT[1].
//
//   FSInfo: Offset | Size | Field          | Meaning
//           0      | 4    | 0x41615252     |
//           484    | 4    | 0x61417272     |
//           488    | 4    | free clusters  | 0xffffffff: not known
//
//   FAT[1]: bit 15 (FAT16) or 27 (FAT32) clear: not unmounted
import type { BlockSource } from "../../blocks/block-source.ts";
import { FIRST_CLUSTER, type BootSector } from "./boot-sector.ts";
import { ATTRIBUTE_DIRECTORY, ATTRIBUTE_LABEL, ATTRIBUTE_LONG_NAME, DELETED, RECORD_BYTES } from "./directory-record.ts";
import type { FatTable } from "./fat-table.ts";
import { labelText } from "./short-name.ts";

const FSINFO_BYTES = 512;

/** Undefined when the volume keeps no count or a wrong one; FAT12 and FAT16 are counted, their tables are small. */
export async function readUsedBytes(source: BlockSource, boot: BootSector, table: FatTable): Promise<number | undefined> {
  if (boot.fatBits !== 32) {
    let used = 0;
    for (let cluster = FIRST_CLUSTER; cluster < table.endCluster; cluster += 1) {
      const value = table.value(cluster);
      if ((value instanceof Promise ? await value : value) !== 0) used += 1;
    }
    return used * boot.clusterBytes;
  }
  if (boot.fsInfoOffsetBytes === 0 || boot.fsInfoOffsetBytes + FSINFO_BYTES > source.sizeBytes) return undefined;
  const bytes = await source.read(boot.fsInfoOffsetBytes, FSINFO_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, FSINFO_BYTES);
  if (view.getUint32(0, true) !== 0x41615252 || view.getUint32(484, true) !== 0x61417272) return undefined;
  const freeClusters = view.getUint32(488, true);
  return freeClusters <= boot.clusterCount ? (boot.clusterCount - freeClusters) * boot.clusterBytes : undefined;
}

/** True when either of the two places that systems use says that it was not unmounted. */
export async function readIsDirty(boot: BootSector, table: FatTable): Promise<boolean> {
  if (boot.isMarkedDirty) return true;
  if (boot.fatBits === 12) return false;
  const flags = await table.value(1);
  return (flags & (boot.fatBits === 16 ? 0x8000 : 0x08000000)) === 0;
}

/** The label among these records of the root directory, as blkid finds it: "end" where the used records end. */
export function findLabel(bytes: Uint8Array): { label: string } | "end" | undefined {
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    if (bytes[at] === 0) return "end";
    const attributes = bytes[at + 11]!;
    const isLabel = (attributes & (ATTRIBUTE_LABEL | ATTRIBUTE_DIRECTORY)) === ATTRIBUTE_LABEL && attributes !== ATTRIBUTE_LONG_NAME;
    const hasCluster = [20, 21, 26, 27].some((index) => bytes[at + index] !== 0);
    if (isLabel && !hasCluster && bytes[at] !== DELETED) return { label: labelText(bytes, at) };
  }
  return undefined;
}

const NO_LABEL = "NO NAME";

/** The label of the boot sector, which label tools often leave behind when they change the other one. */
export function bootLabel(boot: BootSector): string | undefined {
  return boot.label === undefined ? undefined : toLabel(labelText(boot.label, 0));
}

export function toLabel(text: string): string | undefined {
  return text === "" || text === NO_LABEL ? undefined : text;
}

/** As blkid prints it. */
export function toUuid(serialNumber: number | undefined): string | undefined {
  if (serialNumber === undefined || serialNumber === 0) return undefined;
  const hex = serialNumber.toString(16).toUpperCase().padStart(8, "0");
  return `${hex.slice(0, 4)}-${hex.slice(4)}`;
}
