import { DiskError } from "../../blocks/disk-error.ts";
import { asBuffer } from "../byte-string.ts";
import type { Device, LogicalSpace } from "./logical-space.ts";
import { assertExpected, parseNode, type NodeFormat, type NodePointer } from "./node.ts";

/**
 * Devices whose copy of a node is valid, but another one than that of the first device: a mirror whose devices were
 * each mounted without the other, and whose superblocks may be equal all the same.
 * @param devices in the order in which they count
 */
export async function findStrayed(space: LogicalSpace, format: NodeFormat, pointer: NodePointer, devices: readonly Device[]): Promise<ReadonlySet<Device>> {
  if (devices.length < 2) return new Set();
  const copies = space.copiesOnDevices(pointer.logical, format.nodeBytes).sort((a, b) => devices.indexOf(a.device) - devices.indexOf(b.device));
  const strayed = new Set<Device>();
  let first: { readonly device: Device; readonly node: Buffer } | undefined;
  for (const { device, offsetBytes } of copies) {
    const node = await readValid(device, offsetBytes, format, pointer);
    if (node === undefined) continue;
    first ??= { device, node };
    if (device !== first.device && !node.equals(first.node)) strayed.add(device);
  }
  return strayed;
}

async function readValid(device: Device, offsetBytes: number, format: NodeFormat, pointer: NodePointer): Promise<Buffer | undefined> {
  try {
    const bytes = Buffer.from(asBuffer(await device.source.read(offsetBytes, format.nodeBytes)));
    assertExpected(parseNode(format, bytes, pointer.logical), pointer);
    return bytes;
  } catch (error) {
    // Damage is met again where the node is needed, and made up for by another copy.
    if (error instanceof DiskError) return undefined;
    throw error;
  }
}
