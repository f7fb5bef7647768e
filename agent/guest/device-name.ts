import type { ByteString } from "../filesystems/byte-string.ts";

/** A disk or partition by the name that the guest's kernel gave it. */
export interface KernelDevice {
  /** "/dev/sda", "/dev/nvme0n1", "/dev/disk/by-path/pci-…". */
  readonly disk: ByteString;
  /** Undefined for the bare disk. */
  readonly partition: number | undefined;
  /** True for names of a first disk: sda, vda, nvme0n1, mmcblk0. */
  readonly isFirst: boolean;
}

/** "/dev/sda2", "/dev/vdb", "/dev/nvme0n1p1", "/dev/mmcblk0p2", "/dev/disk/by-path/…-part1"; undefined for anything else. */
export function parseKernelDevice(source: ByteString): KernelDevice | undefined {
  const letters = /^\/dev\/((?:sd|vd|xvd|hd|ubd)([a-z]{1,3}))(\d{1,3})?$/.exec(source);
  if (letters !== null) return toDevice(`/dev/${letters[1]}`, letters[3], letters[2] === "a");
  const numbers = /^\/dev\/(nvme(\d+)n(\d+)|mmcblk(\d+))(?:p(\d{1,3}))?$/.exec(source);
  if (numbers !== null) return toDevice(`/dev/${numbers[1]}`, numbers[5], numbers[1] === "nvme0n1" || numbers[1] === "mmcblk0");
  const byPath = /^(\/dev\/disk\/by-(?:path|id|diskseq)\/.+?)(?:-part(\d{1,3}))?$/.exec(source);
  if (byPath !== null && !source.startsWith("/dev/disk/by-id/dm-")) return toDevice(byPath[1] ?? "", byPath[2], false);
  return undefined;
}

function toDevice(disk: ByteString, partition: string | undefined, isFirst: boolean): KernelDevice {
  return { disk, partition: partition === undefined ? undefined : Number(partition), isFirst };
}

/** The name under /dev/mapper: of "/dev/mapper/vg-lv", of "/dev/vg/lv", of "/dev/disk/by-id/dm-name-vg-lv". */
export function mapperName(source: ByteString): ByteString | undefined {
  const direct = /^\/dev\/(?:mapper|disk\/by-id)\/(?:dm-name-)?([^/]+)$/.exec(source);
  if (direct !== null && (source.startsWith("/dev/mapper/") || source.includes("/dm-name-"))) return direct[1];
  const group = /^\/dev\/([^/]+)\/([^/]+)$/.exec(source);
  if (group === null || ["disk", "block", "md", "mapper", "char", "loop"].includes(group[1] ?? "")) return undefined;
  return `${doubleDashes(group[1] ?? "")}-${doubleDashes(group[2] ?? "")}`;
}

/**
 * What a logical volume of that device-mapper name may be called here, the surer first: device-mapper doubles the
 * dashes of both names, "/a--b-c" is volume "c" of group "a-b", listed as "a-b-c".
 */
export function logicalVolumeNames(mapped: ByteString): ByteString[] {
  // The one single dash parts group from volume.
  return [mapped, mapped.replaceAll("--", "-")];
}

/** The names under which udev shows the array of "/dev/md/data", "/dev/md127". */
export function arrayNames(source: ByteString): ByteString[] {
  const named = /^\/dev\/md\/([^/]+)$/.exec(source)?.[1];
  if (named !== undefined) return [`md-${named.slice(named.indexOf(":") + 1)}`, `md${named}`];
  const numbered = /^\/dev\/md_?d?(\d+)$/.exec(source)?.[1];
  return numbered === undefined ? [] : [`md${numbered}`, `md-${numbered}`];
}

function doubleDashes(name: ByteString): ByteString {
  return name.replaceAll("-", "--");
}
