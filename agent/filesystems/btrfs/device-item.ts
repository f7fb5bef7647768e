// A device of the filesystem, as the chunk tree knows it. Source: Linux include/uapi/linux/btrfs_tree.h
// (struct btrfs_dev_item). The superblock holds the same of its own device.
//
// Offset | Size | Field       | Meaning
// 0x00   | 8    | devid       | from 1; 0 while the device is being filled to replace another
// 0x08   | 8    | total_bytes |
// 0x10   | 8    | bytes_used  | held by chunks
// 0x42   | 16   | uuid        | of the device
// 0x52   | 16   | fsid        | of the filesystem that it was made for; another one where it is a seed
import { corrupt } from "../../blocks/disk-error.ts";
import { showUuid } from "./chunk-item.ts";
import { readUInt64 } from "./key.ts";

const deviceItemBytes = 98;

export interface DeviceItem {
  readonly id: number;
  readonly uuid: string;
  readonly fsid: Buffer;
}

/** @param bytes the item; @param id the offset of its key. Throws "corrupt". */
export function parseDeviceItem(bytes: Buffer, id: number): DeviceItem {
  const what = `btrfs device item ${id}`;
  if (bytes.length !== deviceItemBytes) throw corrupt(what, undefined, `${bytes.length} bytes, expected ${deviceItemBytes}`);
  if (readUInt64(bytes, 0) !== id) throw corrupt(what, undefined, `devid ${readUInt64(bytes, 0)}`);
  return { id, uuid: showUuid(bytes.subarray(0x42, 0x52)), fsid: Buffer.from(bytes.subarray(0x52, 0x62)) };
}
