import type { BlockSource } from "../blocks/block-source.ts";
import { slice } from "../blocks/slice.ts";
import { corrupt, toDiskError, unsupported, type DiskError } from "../blocks/disk-error.ts";
import { isExtended, MBR_BYTES, parseBootRecord, type BootRecord, type MbrEntry } from "./mbr.ts";
import { unreadMbrTypes } from "./unread-types.ts";
import type { Volume } from "./volume.ts";

/** Logical partitions count from 5, however few primary ones there are. */
const FIRST_LOGICAL_NUMBER = 5;
/** The kernel numbers partitions below 256. */
const MAX_PARTITION_NUMBER = 255;
/** Boot records in a row that may hold no partition: the kernel's bound against loops. */
const MAX_EMPTY_LINKS = 100;

/** @param sectorBytes the unit of the table's numbers: 512, or 4096 on a disk with such sectors */
export async function scanMbr(source: BlockSource, record: BootRecord, sectorBytes: number): Promise<Volume[]> {
  const scan = new MbrScan(source, record.diskSignature, sectorBytes);
  for (const entry of record.entries) {
    if (entry.sectorCount === 0) continue;
    if (isExtended(entry)) await scan.extended(entry);
    else scan.partition(entry.slot + 1, entry, entry.startSector);
  }
  return scan.volumes.sort((a, b) => a.partition!.number - b.partition!.number);
}

class MbrScan {
  readonly volumes: Volume[] = [];
  readonly #source: BlockSource;
  readonly #diskSignature: number;
  readonly #sectorBytes: number;
  #nextLogical = FIRST_LOGICAL_NUMBER;

  constructor(source: BlockSource, diskSignature: number, sectorBytes: number) {
    this.#source = source;
    this.#diskSignature = diskSignature;
    this.#sectorBytes = sectorBytes;
  }

  /** @param startSector from the start of the disk */
  partition(number: number, entry: MbrEntry, startSector: number): void {
    const startBytes = startSector * this.#sectorBytes;
    const listedBytes = entry.sectorCount * this.#sectorBytes;
    const common = { ...this.#identity(number, entry, startBytes), sizeBytes: listedBytes };
    if (startBytes >= this.#source.sizeBytes) {
      const error = corrupt(`MBR partition ${number}`, startBytes, `starts beyond the disk's ${this.#source.sizeBytes} bytes`);
      this.volumes.push({ ...common, source: undefined, error });
      return;
    }
    const unread = unreadMbrTypes.get(entry.type);
    if (unread !== undefined) {
      this.volumes.push({ ...common, source: undefined, error: unsupported(unread) });
      return;
    }
    // As the kernel does: a partition that runs past the disk ends with it.
    const sizeBytes = Math.min(listedBytes, this.#source.sizeBytes - startBytes);
    const volume = { ...common, sizeBytes, source: slice(this.#source, startBytes, sizeBytes) };
    if (sizeBytes === listedBytes) this.volumes.push(volume);
    else this.volumes.push({ ...volume, error: corrupt(`MBR partition ${number}`, startBytes, `${listedBytes} bytes long, but the disk ends after ${sizeBytes}`) });
  }

  /** Follows the chain of extended boot records; a break in it is listed as the partition that should have come next. */
  async extended(container: MbrEntry): Promise<void> {
    const firstSector = container.startSector;
    const seen = new Set<number>();
    let link = { sector: firstSector, sectorCount: container.sectorCount };
    let emptyLinks = 0;
    while (this.#nextLogical <= MAX_PARTITION_NUMBER && emptyLinks < MAX_EMPTY_LINKS) {
      const offset = link.sector * this.#sectorBytes;
      if (seen.has(link.sector)) return this.#broken(container, offset, corrupt("EBR chain", offset, "comes back to a record already visited"));
      seen.add(link.sector);
      const record = await this.#readRecord(offset, seen.size === 1);
      if (record === "empty") return;
      if (!("entries" in record)) return this.#broken(container, offset, record);
      emptyLinks += 1;
      for (const entry of record.entries) {
        if (entry.sectorCount === 0 || isExtended(entry)) continue;
        const startSector = link.sector + entry.startSector;
        // The third and fourth entries are sometimes garbage: they count only when they lie inside their container.
        if (entry.slot >= 2 && !isInside(entry, startSector, link.sectorCount, container)) continue;
        if (this.#nextLogical > MAX_PARTITION_NUMBER) return;
        this.partition(this.#nextLogical, entry, startSector);
        this.#nextLogical += 1;
        emptyLinks = 0;
      }
      const next = record.entries.find((entry) => entry.sectorCount > 0 && isExtended(entry));
      if (next === undefined) return;
      link = { sector: firstSector + next.startSector, sectorCount: next.sectorCount };
    }
  }

  async #readRecord(offset: number, isFirst: boolean): Promise<BootRecord | "empty" | DiskError> {
    try {
      const sector = await this.#source.read(offset, MBR_BYTES);
      const record = parseBootRecord(sector);
      if (record !== undefined) return record;
      // An extended partition that was never written to holds no logical ones.
      if (isFirst && sector.every((byte) => byte === 0)) return "empty";
      return corrupt("extended boot record", offset, `signature ${hex(sector[510]!)} ${hex(sector[511]!)}, expected 55 aa`);
    } catch (error) {
      return toDiskError(error);
    }
  }

  #broken(container: MbrEntry, offset: number, error: DiskError): void {
    const number = this.#nextLogical;
    this.#nextLogical += 1;
    this.volumes.push({ ...this.#identity(number, container, offset), source: undefined, sizeBytes: 0, error });
  }

  #identity(number: number, entry: MbrEntry, startBytes: number): Pick<Required<Volume>, "name" | "kind" | "partition"> {
    const signature = this.#diskSignature.toString(16).padStart(8, "0");
    return {
      name: `p${number}`,
      kind: "partition",
      partition: {
        number,
        table: "mbr",
        type: `0x${hex(entry.type)}`,
        // As udev and blkid make PARTUUID.
        uuid: this.#diskSignature === 0 ? undefined : `${signature}-${hex(number)}`,
        label: undefined,
        startBytes,
      },
    };
  }
}

function isInside(entry: MbrEntry, startSector: number, linkSectors: number, container: MbrEntry): boolean {
  if (entry.startSector + entry.sectorCount > linkSectors) return false;
  if (startSector < container.startSector) return false;
  return startSector + entry.sectorCount <= container.startSector + container.sectorCount;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
