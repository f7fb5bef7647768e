import { Random } from "../tools/random.ts";
import { guestImages, type GuestImages } from "../volumes/guest.ts";

// What the kernel here may not mount: XFS of version 4, and files on a realtime device. A Debian kernel in the guest makes
// such filesystems busy, copies them while they are, shuts them down, lets its own recovery run on copies, and writes
// down what it then sees.

export const version4Variants = [
  { name: "as made by default, a log of version 2", mkfs: "-m crc=0 -l size=4m", mount: "logbsize=32k" },
  { name: "a log of version 1, counters kept up, 512-byte blocks, no file types", mkfs: "-m crc=0 -b size=512 -n ftype=0 -l version=1,lazy-count=0,size=3m", mount: "logbufs=4" },
  { name: "1 KiB blocks, directory blocks of 8 KiB, attributes of version 1, projects of 16 bits", mkfs: "-m crc=0 -b size=1024 -n size=8192 -i attr=1,projid32bit=0 -l size=6m", mount: "logbsize=64k" },
] as const;

/** The listings on the disk "listings", each this far from the one before. */
export const listingSlotBytes = 1024 * 1024;
/** In the order of their listings. */
export const dirtyKinds = ["busy", "stopped"] as const;

const sizeMb = 40;
/** PLUCK_XFS_SEED for other changes. */
const seed = Number(process.env["PLUCK_XFS_SEED"] ?? 1);

/** Disks "0-busy", "0-stopped", "1-busy" … of the variants above, "realtime" and its "device", and "listings". */
export function debianKernelImages(): Promise<GuestImages> {
  const names = version4Variants.flatMap((_, index) => dirtyKinds.map((kind) => `${index}-${kind}`));
  const disks = [...names.map((name) => ({ name, sizeMb })), { name: "recovered", sizeMb }, { name: "listings", sizeMb: names.length + 1 }, { name: "realtime", sizeMb }, { name: "device", sizeMb: 16 }];
  const [realtime, device] = [`$disk${names.length + 2}`, `$disk${names.length + 3}`];
  return guestImages("xfs-debian-kernel", disks, `
set -e
modprobe xfs
cd /
write() { dd if=/dev/vdb of="$1" bs="$2" skip="$3" count=1 seek="$4" conv=notrunc 2>/dev/null; }
io() { xfs_io -c "$2" "$1" >/dev/null; }
many() { n=0; while [ $n -lt $2 ]; do : > "$1-$n-name"; n=$((n+1)); done; }
few() { n=0; while [ $n -lt $2 ]; do rm -f "$1-$n-name"; n=$((n+3)); done; }
recover() {
  dd if=$1 of=$recovered bs=1M 2>/dev/null
  echo 3 > /proc/sys/vm/drop_caches
  mount -t xfs $recovered /mnt
  cd /mnt
  /usr/bin/find . -printf '%P|%y|%s|%m|%U|%G|%T@|%n|%l\\n' > /tmp/listing
  echo == >> /tmp/listing
  /usr/bin/find . -type f -print0 | xargs -0 sha256sum >> /tmp/listing
  echo == >> /tmp/listing
  getfattr -R -P -h -d -m - -e base64 . >> /tmp/listing
  cd /
  umount /mnt
  dd if=/tmp/listing of=$listings bs=${listingSlotBytes} seek=$2 conv=notrunc 2>/dev/null
}
recovered=$disk${names.length}; listings=$disk${names.length + 1}
${version4Variants.map((variant, index) => `
mkfs.xfs -q -f --unsupported ${variant.mkfs} $disk${index * 2 + 1}
mount -t xfs -o ${variant.mount} $disk${index * 2 + 1} /mnt
cd /mnt
set +e
${changes(new Random(seed * 100 + index), 100).join("\n")}
sync
${changes(new Random(seed * 100 + index + 50), 40, "b").join("\n")}
set -e
cd /
echo 3 > /proc/sys/vm/drop_caches
dd if=$disk${index * 2 + 1} of=$disk${index * 2} bs=1M 2>/dev/null
cd /mnt
set +e
${changes(new Random(seed * 100 + index + 70), 40, "c").join("\n")}
set -e
cd /
xfs_io -x -c "${index % 2 === 0 ? "shutdown -f" : "shutdown"}" /mnt
umount /mnt`).join("\n")}
${names.map((_, index) => `recover $disk${index} ${index}`).join("\n")}
mkfs.xfs -q -f --unsupported -l size=6m -r rtdev=${device} ${realtime}
mount -t xfs -o rtdev=${device} ${realtime} /mnt
cd /mnt
write plain 20000 1 0; io plain fsync
xfs_io -R -f -c "pwrite -q 0 100000" -c fsync /mnt/realtime
xfs_io -R -f -c "truncate 50000" -c fsync /mnt/realtime-hole
cd /
xfs_io -x -c "shutdown -f" /mnt
umount /mnt
`);
}

/** Shell commands; some fail, since a name is gone: part of the game. */
function changes(random: Random, count: number, prefix = "a"): string[] {
  const folders = [".", ...Array.from({ length: 4 }, (_, index) => `folder-${index}`)];
  const file = (): string => `${random.pick(folders)}/${random.pick(["a", "b", prefix])}${random.integer(0, 40)}`;
  const commands = folders.slice(1).map((folder) => `mkdir -p ${folder}`);
  for (let step = 0; step < count; step += 1) {
    const one = file();
    const action = random.integer(0, 100);
    if (action < 35) commands.push(`write ${one} ${random.pick([10, 100, 3000, 5000, 40_000])} ${random.integer(0, 1000)} ${random.integer(0, 3)}`);
    else if (action < 45) commands.push(`rm -f ${one}`);
    else if (action < 55) commands.push(`mv ${one} ${file()} 2>/dev/null`);
    else if (action < 60) commands.push(`ln ${one} ${file()} 2>/dev/null`);
    else if (action < 65) commands.push(`ln -s ${"t".repeat(random.integer(1, 400))} ${one} 2>/dev/null`);
    else if (action < 70) commands.push(`chmod ${random.integer(0, 0o1000).toString(8)} ${one} 2>/dev/null`, `chown ${random.integer(0, 70_000)}:${random.integer(0, 70_000)} ${one} 2>/dev/null`);
    else if (action < 76) commands.push(`setfattr -n user.n${random.integer(0, 20)} -v 0s${random.bytes(random.pick([5, 60, 700, 3000])).toString("base64")} ${one} 2>/dev/null`);
    else if (action < 79) commands.push(`[ -f ${one} ] && io ${one} "truncate ${random.integer(0, 50_000)}"`);
    else if (action < 83) commands.push(`[ -f ${one} ] && io ${one} "${random.pick(["falloc", "fpunch", "falloc -k"])} ${random.integer(0, 20) * 4096} ${random.integer(1, 20) * 4096}"`);
    else if (action < 92) commands.push(`[ -f ${one} ] && io ${one} fsync`);
    else if (action < 94) commands.push(`many ${random.pick(folders)}/${prefix}${step} ${random.pick([5, 40, 250])}`);
    else if (action < 96) commands.push(`few ${random.pick(folders)}/${prefix}${random.integer(0, step + 1)} 250`);
    else if (action < 98) commands.push(`mkdir ${one}-folder 2>/dev/null`, `write ${one}-folder/inside 5000 3 0 2>/dev/null`);
    else commands.push("sync");
  }
  commands.push(`write ${prefix}-last 7000 9 0`, `io ${prefix}-last fsync`);
  return commands;
}
