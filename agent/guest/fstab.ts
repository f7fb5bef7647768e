// /etc/fstab of the guest. Source: fstab(5), getmntent(3) (escapes), systemd.mount(5) (which lines systemd mounts).
//
//   Field | Meaning
//   1     | what: a device, a tag (UUID=, LABEL=, PARTUUID=, PARTLABEL=), a folder (bind), or a name for what has no device
//   2     | where: the mount point; "none" for swap
//   3     | filesystem type
//   4     | options, separated by commas
//   5, 6  | dump and fsck order: nothing to us
//
// Fields are separated by blanks and tabs; inside one, \ooo is a byte in octal; a line that begins with # is a comment.
import type { ByteString } from "../filesystems/byte-string.ts";

/** Longer files are not read: real ones have a few kilobytes. */
export const maxFstabBytes = 1024 * 1024;
/** Further lines are ignored; so many mounts no guest has. */
const maxLines = 4096;

/** A line that mounts something. Names are bytes. */
export interface FstabLine {
  readonly source: ByteString;
  /** As written: "/boot/efi". */
  readonly mountPoint: ByteString;
  readonly type: ByteString;
  readonly options: readonly ByteString[];
}

/** All lines that name a source, a mount point, and nothing that only a running guest has. Pure; never throws. */
export function parseFstab(contents: ByteString): FstabLine[] {
  return fieldsOf(contents).flatMap((fields) => {
    const [source, mountPoint, type = "auto", options = "defaults"] = fields;
    if (source === undefined || mountPoint === undefined || !mountPoint.startsWith("/")) return [];
    return [{ source: unquote(unescapeOctal(source)), mountPoint: unescapeOctal(mountPoint), type: unescapeOctal(type), options: unescapeOctal(options).split(",") }];
  });
}

/** One encrypted volume in /etc/crypttab: the name it is opened under, and what it is. */
export interface CrypttabLine {
  readonly name: ByteString;
  readonly source: ByteString;
}

/** The first two fields of each line of /etc/crypttab (crypttab(5)). */
export function parseCrypttab(contents: ByteString): CrypttabLine[] {
  return fieldsOf(contents).flatMap(([name, source]) => (name === undefined || source === undefined ? [] : [{ name, source: unquote(source) }]));
}

/** The value of an option "name=value"; undefined when it is not given. The last one counts, as for mount. */
export function optionValue(options: readonly ByteString[], name: ByteString): ByteString | undefined {
  return options.findLast((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** Filesystems that a running guest makes up or fetches over a network. */
const withoutDevice = new Set([
  "swap", "none", "ignore", "proc", "sysfs", "tmpfs", "ramfs", "devtmpfs", "devpts", "mqueue", "hugetlbfs", "securityfs", "cgroup", "cgroup2", "debugfs",
  "tracefs", "configfs", "efivarfs", "binfmt_misc", "usbfs", "overlay", "aufs", "autofs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf",
  "vmhgfs", "ceph", "glusterfs", "lustre", "gpfs", "afs", "davfs", "davfs2", "sshfs", "ncpfs", "ocfs2_dlmfs", "rpc_pipefs", "fuse", "fuseblk.none",
]);

/** False for lines of swap, of the kernel's own filesystems and of networks: nothing of them is on a disk of the backup. */
export function isOnDisk({ source, type, options }: FstabLine): boolean {
  if (isBind({ options })) return true;
  if (withoutDevice.has(type) || type.startsWith("fuse.")) return false;
  return source !== "none" && source !== "tmpfs" && source !== "proc";
}

/** A folder of the guest that shows a second time; its type says nothing. */
export function isBind({ options }: Pick<FstabLine, "options">): boolean {
  return options.includes("bind") || options.includes("rbind");
}

function fieldsOf(contents: ByteString): ByteString[][] {
  return contents
    .split("\n", maxLines)
    .map((line) => line.replace(/\r$/, "").trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => splitFields(line));
}

/** At blanks, except inside the quotes of LABEL="my disk". */
function splitFields(line: ByteString): ByteString[] {
  return line.match(/(?:[^\s"]*"[^"]*"|\S)\S*/g) ?? [];
}

function unescapeOctal(field: ByteString): ByteString {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** `UUID="…"` and `"/dev/sda1"` without their quotes. */
function unquote(source: ByteString): ByteString {
  return source.replace(/^([A-Za-z]+=)?(["'])(.*)\2$/, "$1$3");
}
