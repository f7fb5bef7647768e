import { readFileSync } from "node:fs";
import type { FileState } from "./file-state.ts";

/*
 * QEMU says what it does with an image file by shared locks on single bytes (block/file-posix.c,
 * docs/devel; fcntl OFD locks), one byte a permission:
 *
 * | Byte | Meaning |
 * |---|---|
 * | 100 + n | it uses permission n |
 * | 200 + n | nobody else may use permission n |
 *
 * Permissions: 0 consistent read, 1 write, 2 write unchanged, 3 resize. Whoever only reads holds 100,
 * 201 and 203; a writer holds 101, and 103 when it may resize. Measured with QEMU 7.2.
 */
const USES_WRITE = 101;
const USES_RESIZE = 103;
const FORBIDS_READ = 200;
/** Of a reader; a lock that excludes others and covers one of these would keep it from opening. */
const READER_BYTES = [100, 201, 203];
const FIRST_BYTE = 100;
const LAST_BYTE = 299;

export interface FileLock {
  /** As in the table: "fe:00:1234", device in hexadecimal, then the inode. */
  readonly file: string;
  readonly isExclusive: boolean;
  readonly start: number;
  /** Inclusive; Infinity up to the end. */
  readonly end: number;
}

/** The record locks of /proc/locks that are held; those still waited for, flock and leases are left out. */
export function parseLocks(text: string): FileLock[] {
  const locks: FileLock[] = [];
  for (const line of text.split("\n")) {
    const match = /^\d+: (?:OFDLCK|POSIX) +\S+ +(READ|WRITE) +-?\d+ +([0-9a-f]+:[0-9a-f]+:\d+) +(\d+) +(\d+|EOF)$/.exec(line.trimEnd());
    if (match === null) continue;
    const [, type, file = "", start, end] = match;
    locks.push({ file, isExclusive: type === "WRITE", start: Number(start), end: end === "EOF" ? Infinity : Number(end) });
  }
  return locks;
}

/** True for a lock that keeps QEMU from opening the file as a reader: somebody writes, or shuts others out. */
export function excludesReaders({ isExclusive, start, end }: FileLock): boolean {
  const covers = (byte: number) => start <= byte && byte <= end;
  if (isExclusive && READER_BYTES.some(covers)) return true;
  // A shared lock on more than these bytes is a reader's that has nothing to do with QEMU.
  const isQemu = start >= FIRST_BYTE && end <= LAST_BYTE;
  return isQemu && (covers(USES_WRITE) || covers(USES_RESIZE) || covers(FORBIDS_READ));
}

/**
 * Finds a file that somebody on this machine has open for writing, by the kernel's lock table. Locks of
 * other containers are there too; those of other machines are not. Reads only /proc, which waits for
 * no storage, so it does so without leaving this thread.
 *
 * @returns the index of the first such file; undefined when there is none
 * @throws the error of reading the table, where the kernel or a sandbox doesn't show it
 */
export function findWriter(files: readonly { readonly fd: number; readonly state: FileState }[]): number | undefined {
  // A table longer than a page is not read at once: an entry may slip by while others go.
  const locks = [...parseLocks(readFileSync(LOCK_TABLE, "latin1")), ...parseLocks(readFileSync(LOCK_TABLE, "latin1"))];
  const taken = new Set(locks.filter(excludesReaders).map(({ file }) => file));
  if (taken.size === 0) return undefined;
  const devices = readMountDevices();
  for (const [index, file] of files.entries()) {
    if (taken.has(toLockName(file, devices))) return index;
  }
  return undefined;
}

const LOCK_TABLE = "/proc/locks";

/** By the mount's id: "fe:00". stat's device differs from it on btrfs and overlayfs, the table's does not. */
function readMountDevices(): ReadonlyMap<string, string> {
  const devices = new Map<string, string>();
  for (const line of readFileSync("/proc/self/mountinfo", "latin1").split("\n")) {
    const [id, , device = ""] = line.split(" ");
    const [major, minor] = device.split(":").map(Number);
    if (id !== undefined && major !== undefined && minor !== undefined) devices.set(id, toDeviceName(major, minor));
  }
  return devices;
}

function toLockName({ fd, state }: { readonly fd: number; readonly state: FileState }, devices: ReadonlyMap<string, string>): string {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
  const device = devices.get(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? "");
  // Kernels before 5.14 don't tell the inode here.
  const inode = /^ino:\s*(\d+)$/m.exec(info)?.[1] ?? String(state.inode);
  return `${device ?? toDeviceName(majorOf(state.device), minorOf(state.device))}:${inode}`;
}

function toDeviceName(major: number, minor: number): string {
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}`;
}

/** As in sys/sysmacros.h. */
const majorOf = (device: bigint) => Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
const minorOf = (device: bigint) => Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
