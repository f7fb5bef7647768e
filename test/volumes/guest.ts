import { createCipheriv, createHash, randomUUID } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

// A Debian kernel under emulated QEMU, for what this machine's kernel may lack: device-mapper, md, XFS version 4. The
// guest has the host's own lvm2, mdadm, cryptsetup, mke2fs and xfsprogs, builds images on virtio disks with them, and prints
// the MD5 of every block device that it activated: an oracle that shares nothing with our readers.

export interface GuestDisk {
  readonly name: string;
  readonly sizeMb: number;
}

export interface GuestImages {
  /** Raw images by disk name. */
  readonly disks: ReadonlyMap<string, string>;
  /** What the script printed with `say KEY VALUE`, by key. */
  readonly said: ReadonlyMap<string, string>;
}

const cacheFolder = join(tmpdir(), "pluck-guest");
const programs = [
  "/sbin/lvm", "/sbin/mdadm", "/sbin/mke2fs", "/usr/sbin/thin_check", "/usr/sbin/sfdisk", "/sbin/dmsetup", "/sbin/cryptsetup", "/sbin/integritysetup", "/sbin/mkfs.xfs",
  "/usr/sbin/xfs_io", "/usr/bin/setfattr", "/usr/bin/getfattr", "/usr/bin/find",
];
const modules = [
  "virtio_pci", "virtio_blk", "dm-mod", "dm-mirror", "dm-snapshot", "dm-thin-pool", "dm-raid", "dm-cache", "dm-cache-smq",
  "dm-writecache", "dm-integrity", "dm-zero", "linear", "raid0", "raid1", "raid10", "raid456",
];
const poolMb = 64;
const bootLimitMs = 420_000;
const maxBoots = 3;
/** For tests that may have to build images first, on a machine that does other things as well. */
export const guestTestTimeoutMs = 900_000;

/** What the guest lacks on this machine, in words; undefined when it can run. */
export function guestLacks(): string | undefined {
  const missing = [...programs, "/usr/bin/qemu-system-x86_64", "/bin/busybox", "/usr/bin/cpio"].filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `passed over: no ${missing.join(", ")} (apt-get install qemu-system-x86 lvm2 mdadm thin-provisioning-tools cryptsetup-bin xfsprogs attr busybox-static cpio)`;
}

/**
 * Runs a shell script in the guest, its disks being $disk0, $disk1 … in the order given, and keeps the images: the
 * same script is run once on a machine. In the script, `say KEY VALUE` reports, `hash KEY DEVICE` reports the MD5
 * of a device, `fill DEVICE SEED MB` writes bytes that look random, `random SEED MB` prints them.
 */
export async function guestImages(name: string, disks: readonly GuestDisk[], script: string): Promise<GuestImages> {
  const key = createHash("sha256").update(JSON.stringify([disks, script, prelude, modules])).digest("hex").slice(0, 16);
  const folder = join(cacheFolder, `${name}-${key}`);
  // One that failed fails again, in the next test of the file at once.
  const made = attempts.get(folder) ?? once(folder, async () => await build(folder, disks, script));
  attempts.set(folder, made);
  await made;
  const said = new Map<string, string>();
  for (const line of (await readFile(join(folder, "console.txt"), "utf8")).split(/\r?\n/)) {
    const match = /^SAY (\S+) (.*)$/.exec(line);
    if (match !== null) said.set(match[1]!, match[2]!.trim());
  }
  return { disks: new Map(disks.map((disk) => [disk.name, join(folder, `${disk.name}.raw`)])), said };
}

const attempts = new Map<string, Promise<void>>();

/** Has one of several test workers make a folder while the others wait for it. */
async function once(folder: string, make: () => Promise<void>): Promise<void> {
  const lock = `${folder}.lock`;
  await mkdir(cacheFolder, { recursive: true });
  for (;;) {
    if (existsSync(folder)) return;
    try {
      await mkdir(lock);
    } catch {
      const age = Date.now() - ((await stat(lock).catch(() => undefined))?.mtimeMs ?? 0);
      // Whoever held it was killed.
      if (age > bootLimitMs + 60_000) await rm(lock, { recursive: true, force: true });
      await sleep(200);
      continue;
    }
    try {
      if (!existsSync(folder)) await make();
      return;
    } finally {
      await rm(lock, { recursive: true, force: true });
    }
  }
}

async function build(folder: string, disks: readonly GuestDisk[], script: string): Promise<void> {
  const { kernel, initramfs, pool } = await guestSystem();
  const work = `${folder}.${randomUUID()}`;
  await mkdir(work, { recursive: true });
  try {
    await writeFile(join(work, "script.sh"), script);
    // The script comes as a disk of its own, padded, since disks are whole sectors.
    const padded = Buffer.alloc(Math.ceil(Buffer.byteLength(script) / 65_536) * 65_536, "\n");
    Buffer.from(script).copy(padded);
    await writeFile(join(work, "script.raw"), padded);
    const drives = disks.map((disk) => join(work, `${disk.name}.raw`));
    for (const disk of disks) {
      await writeFile(join(work, `${disk.name}.raw`), "");
      await truncate(join(work, `${disk.name}.raw`), disk.sizeMb * 1024 * 1024);
    }
    const boot = async (): Promise<string> => (await execa("qemu-system-x86_64", [
      "-accel", "tcg", "-cpu", "max", "-m", "768", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
      "-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on no_timer_check",
      ...[join(work, "script.raw"), pool].flatMap((path) => ["-drive", `file=${path},format=raw,if=virtio,readonly=on`]),
      ...drives.flatMap((path) => ["-drive", `file=${path},format=raw,if=virtio,cache=unsafe,discard=unmap,detect-zeroes=unmap`]),
    ], { timeout: bootLimitMs, stdin: "ignore" })).stdout;
    let stdout = await boot();
    // An emulated processor that the host lets wait may end the kernel while it looks for its timers: nothing was begun yet.
    for (let tries = 1; tries < maxBoots && !stdout.includes(started); tries += 1) stdout = await boot();
    await writeFile(join(work, "console.txt"), stdout);
    if (!/^SAY finished 0\r?$/m.test(stdout)) throw new Error(`the guest's script failed:\n${stdout.slice(-6000)}`);
    await rename(work, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
    await rm(join(folder, "script.raw"), { force: true });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const prelude = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /run/lock/lvm /run/lvm /tmp /mnt /etc/lvm /dev/md /var/lib /run/mdadm
for module in ${modules.join(" ")}; do modprobe $module 2>/dev/null; done
mdev -s
echo 'devices { obtain_device_list_from_udev=0 external_device_info_source="none" use_devicesfile=0 }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
backup { backup=0 archive=0 }' > /etc/lvm/lvm.conf
say() { echo "SAY $*"; }
hash() { sync; echo 3 > /proc/sys/vm/drop_caches; say "$1" $(md5sum "$2" | cut -d' ' -f1); }
random() { dd if=/dev/vdb bs=64k skip=$((0x$(echo "$1" | md5sum | cut -c1-6) % (${poolMb} * 16 - $2 * 16))) count=$(($2 * 16)) 2>/dev/null; }
fill() { random "$2" "$3" | dd of="$1" bs=64k 2>/dev/null || true; }
n=0
for letter in c d e f g h i j k l m n o p q r s t u v; do eval disk$n=/dev/vd$letter; n=$((n+1)); done
`;

const started = "SAY started";
const runScript = `
say started 0
(. /dev/vda)
say finished $?
sync
poweroff -f
`;

/** Bytes that look random, all sectors different: what `random` prints parts of. Made here: the guest is slow. */
async function writePool(path: string): Promise<void> {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2));
  await writeFile(path, cipher.update(Buffer.alloc(poolMb * 1024 * 1024)));
}

/** The kernel and an initramfs with the tools, made once on a machine. */
async function guestSystem(): Promise<{ kernel: string; initramfs: string; pool: string }> {
  const key = createHash("sha256").update(JSON.stringify([prelude, runScript, programs, modules, modulePlaces, poolMb])).digest("hex").slice(0, 16);
  const folder = join(cacheFolder, `system-${key}`);
  const found = { kernel: join(folder, "vmlinuz"), initramfs: join(folder, "initramfs"), pool: join(folder, "pool.raw") };
  if (existsSync(folder)) return found;
  await mkdir(cacheFolder, { recursive: true });
  const work = await mkdtemp(`${folder}.`);
  try {
    const kernel = await unpackKernel();
    const root = join(work, "root");
    for (const path of ["bin", "sbin", "proc", "sys", "dev", "lib/modules", "etc", "tmp"]) await mkdir(join(root, path), { recursive: true });
    for (const program of [...programs, "/bin/busybox"]) await copyWithLibraries(program, root);
    await writeFile(join(root, "init"), `${prelude}${runScript}`);
    await chmod(join(root, "init"), 0o755);
    await writePool(join(work, "pool.raw"));
    const [version] = readdirSync(join(kernel, "lib/modules"));
    await copyModules(join(kernel, "lib/modules", version!), join(root, "lib/modules", version!));
    await execa("/bin/busybox", ["depmod", "-b", root, version!]);
    const { stdout: files } = await execa("find", ["."], { cwd: root });
    const { stdout: archive } = await execa("cpio", ["-o", "-H", "newc", "--quiet"], { cwd: root, input: files, encoding: "buffer", maxBuffer: 2 ** 30 });
    await writeFile(join(work, "initramfs"), archive);
    await copyFile(join(kernel, "boot", readdirSync(join(kernel, "boot")).find((file) => file.startsWith("vmlinuz"))!), join(work, "vmlinuz"));
    await rm(root, { recursive: true });
    await rename(work, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return found;
}

/** Debian's kernel for virtual machines, unpacked and not installed. */
async function unpackKernel(): Promise<string> {
  const folder = join(cacheFolder, "kernel");
  if (existsSync(folder)) return folder;
  const work = await mkdtemp(`${folder}.`);
  try {
    const { stdout } = await execa("apt-cache", ["depends", "linux-image-cloud-amd64"]);
    const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (name === undefined) throw new Error(`no kernel package among:\n${stdout}`);
    await execa("apt-get", ["download", name], { cwd: work });
    await execa("dpkg", ["-x", join(work, readdirSync(work).find((file) => file.endsWith(".deb"))!), join(work, "kernel")]);
    await rename(join(work, "kernel"), folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

async function copyWithLibraries(program: string, root: string): Promise<void> {
  const { stdout } = await execa("ldd", [program], { reject: false });
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!);
  for (const path of [program, ...libraries]) {
    const target = join(root, path);
    if (existsSync(target)) continue;
    await mkdir(dirname(target), { recursive: true });
    await copyFile(path, target);
  }
}

const modulePlaces = ["drivers/md", "drivers/virtio", "drivers/block/virtio_blk.ko", "crypto", "lib", "arch/x86/crypto", "fs/xfs"];

async function copyModules(from: string, to: string): Promise<void> {
  for (const place of modulePlaces) {
    await mkdir(dirname(join(to, "kernel", place)), { recursive: true });
    await execa("cp", ["-r", join(from, "kernel", place), join(to, "kernel", place)]);
  }
  for (const file of ["modules.builtin", "modules.order"]) await copyFile(join(from, file), join(to, file));
}

