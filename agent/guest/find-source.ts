import { byteStringToText, type ByteString } from "../filesystems/byte-string.ts";
import { arrayNames, logicalVolumeNames, mapperName, parseKernelDevice } from "./device-name.ts";
import type { CrypttabLine, FstabLine } from "./fstab.ts";
import type { GuestVolume } from "./guest-volume.ts";

/** What a line of fstab is held against. */
export interface SourceContext {
  readonly volumes: readonly GuestVolume[];
  /** The volume that holds the fstab. */
  readonly root: GuestVolume;
  /** The kernel's name for this disk in the guest, where the fstab tells: "/dev/sda". */
  readonly diskName: ByteString | undefined;
  readonly crypttab: readonly CrypttabLine[];
}

export type FoundSource = { readonly volume: GuestVolume } | { readonly problem: string };

/** The lines that name the volume by a tag, and how. */
const tags: Readonly<Record<string, (volume: GuestVolume) => string | null | undefined>> = {
  UUID: ({ summary }) => summary.uuid,
  LABEL: ({ summary }) => summary.label,
  PARTUUID: ({ summary }) => summary.partition?.uuid,
  PARTLABEL: ({ summary }) => summary.partition?.label,
};
const exactTags = new Set(["LABEL", "PARTLABEL"]);

/** The volume that a source in fstab means, or why none: never a guess where two disks could be meant. */
export function findSource(source: ByteString, context: SourceContext): FoundSource {
  const tag = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/s.exec(source) ?? byLink(source);
  if (tag !== null) return findByTag(tag[1] ?? "", byteStringToText(tag[2] ?? ""), context);
  const device = parseKernelDevice(source);
  if (device !== undefined) {
    if (device.disk !== context.diskName) return { problem: "which disk of the backup that is can't be told from its name" };
    const name = device.partition === undefined ? "disk" : `p${device.partition}`;
    return toFound(context.volumes.filter(({ summary }) => summary.name === name), `this disk has no volume ${name}`, context);
  }
  const mapped = mapperName(source);
  if (mapped !== undefined) return findMapped(mapped, context);
  const arrays = arrayNames(source);
  if (arrays.length > 0) return findNamed(arrays, "no array of this name is open", context);
  if (!source.startsWith("/dev/")) return { problem: source.startsWith("/") ? "it is a file or folder of the guest, not a volume" : "it is no volume of a disk" };
  return { problem: "it is no device name that can be matched" };
}

/** The kernel's name for the disk that is open: its root line tells, or it is the only disk that is named, and a first one. */
export function findDiskName(lines: readonly FstabLine[], root: GuestVolume): ByteString | undefined {
  const rootLine = lines.find((line) => line.mountPoint === "/");
  const rootDevice = rootLine === undefined ? undefined : parseKernelDevice(rootLine.source);
  if (rootDevice !== undefined) {
    const name = rootDevice.partition === undefined ? "disk" : `p${rootDevice.partition}`;
    return name === root.summary.name ? rootDevice.disk : undefined;
  }
  const devices = lines.flatMap((line) => parseKernelDevice(line.source) ?? []);
  const [first] = devices;
  return first !== undefined && first.isFirst && devices.every((device) => device.disk === first.disk) ? first.disk : undefined;
}

/** udev's links: /dev/disk/by-uuid/…, with \x20 for a blank. */
function byLink(source: ByteString): [string, string, ByteString] | null {
  const link = /^\/dev\/disk\/by-(uuid|label|partuuid|partlabel)\/(.*)$/s.exec(source);
  if (link === null) return null;
  const value = (link[2] ?? "").replace(/\\x([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return [source, (link[1] ?? "").toUpperCase(), value];
}

function findByTag(tag: string, wanted: string, context: SourceContext): FoundSource {
  const valueOf = tags[tag];
  const isEqual = (value: string | null | undefined): boolean =>
    value != null && (exactTags.has(tag) ? value === wanted : value.toLowerCase() === wanted.toLowerCase());
  return toFound(context.volumes.filter((volume) => isEqual(valueOf?.(volume))), "no volume that is open has it", context);
}

function findMapped(mapped: ByteString, context: SourceContext): FoundSource {
  const crypt = context.crypttab.find((line) => line.name === mapped);
  if (crypt !== undefined || mapped.startsWith("luks-")) {
    const found = findSource(crypt?.source ?? `UUID=${mapped.slice("luks-".length)}`, { ...context, crypttab: [] });
    if ("volume" in found) return findNamed([`luks-${found.volume.summary.name}`], `/${found.volume.summary.name} is encrypted and locked`, context);
    const unlocked = context.volumes.filter(({ summary }) => summary.name.startsWith("luks-"));
    const [only] = unlocked;
    // An unlocked volume no longer shows the UUID of its header.
    if (only !== undefined && unlocked.length === 1) return { volume: only };
  }
  return findNamed(logicalVolumeNames(mapped), "no logical volume of this name is open", context);
}

function findNamed(names: readonly ByteString[], problem: string, context: SourceContext): FoundSource {
  for (const name of names) {
    const volume = context.volumes.find(({ summary }) => summary.name === byteStringToText(name));
    if (volume !== undefined) return toFound([volume], problem, context);
  }
  return { problem };
}

/** Of several with one identity (a snapshot beside its origin) the root itself, else the first that can be read. */
function toFound(named: readonly GuestVolume[], problem: string, { root, volumes }: SourceContext): FoundSource {
  const candidates = named.map((one) => (one.partOf === undefined ? one : (volumes.find(({ summary }) => summary.name === one.partOf) ?? one)));
  const volume = candidates.find((one) => one === root) ?? candidates.find((one) => one.fileSystem !== undefined) ?? candidates[0];
  return volume === undefined ? { problem } : { volume };
}
