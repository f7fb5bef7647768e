import { guestImages, type GuestImages } from "../volumes/guest.ts";

// Volume groups as lvm2 and the kernel's device-mapper make them.

const synced = `
synced() { n=0; while lvm lvs --noheadings -a -o copy_percent vg 2>/dev/null | grep -v 100.00 | grep -q '[0-9]'; do sleep 0.3; n=$((n+1)); [ $n -lt 100 ] || { lvm lvs -a -o lv_name,copy_percent vg; return 1; }; done; }
make() { name=$1; shift; lvm lvcreate -q -y -Wn -Zn -n $name vg "$@"; }
`;

/** A group over a partition and a whole disk: linear in pieces, striped, spanning, classic and thin snapshots. */
export function plainGroup(): Promise<GuestImages> {
  return guestImages("lvm-plain", [{ name: "a", sizeMb: 160 }, { name: "b", sizeMb: 96 }], `
set -e
${synced}
printf 'label: gpt\\nsize=8M\\nsize=+\\n' | sfdisk -q $disk0
mdev -s
lvm pvcreate -q \${disk0}2 $disk1
lvm vgcreate -q -s 1M vg \${disk0}2 $disk1
make hole1 -l 3 \${disk0}2
make root -l 4 \${disk0}2
make hole2 -l 2 \${disk0}2
lvm lvremove -q -y vg/hole1 vg/hole2
lvm lvextend -q -l +6 vg/root \${disk0}2
make with-dash -l 3 $disk1
make striped -l 8 -i 2 -I 16k
make span -l 5 $disk1
lvm lvextend -q -l +9 vg/span \${disk0}2
for lv in root with-dash striped span; do fill /dev/vg/$lv $lv 12; done
# A snapshot, with later writes to both.
lvm lvcreate -q -y -s -n snap -l 6 -c 8k vg/root
random other 2 | dd of=/dev/vg/root bs=64k seek=37 conv=notrunc 2>/dev/null
random third 1 | dd of=/dev/vg/snap bs=4k seek=301 conv=notrunc 2>/dev/null
lvm lvcreate -q -y -s -n snap2 -l 3 -c 4k vg/root
random fourth 1 | dd of=/dev/vg/root bs=4k seek=99 conv=notrunc 2>/dev/null
# Thin: a pool of 64 KiB blocks, a volume larger than it, written in places, a snapshot that goes its own way.
lvm lvcreate -q -y --type thin-pool -Zy -L 24M --poolmetadatasize 2M -c 64k -n pool vg
lvm lvcreate -q -y -V 200M --thinpool vg/pool -n thin
random t1 4 | dd of=/dev/vg/thin bs=64k seek=5 conv=notrunc 2>/dev/null
random t2 2 | dd of=/dev/vg/thin bs=64k seek=2000 conv=notrunc 2>/dev/null
lvm lvcreate -q -y -s -kn -n thinsnap vg/thin
random t3 3 | dd of=/dev/vg/thin bs=64k seek=20 conv=notrunc 2>/dev/null
random t4 1 | dd of=/dev/vg/thinsnap bs=4k seek=333 conv=notrunc 2>/dev/null
# A thin volume over an origin outside the pool.
make outside -l 5
fill /dev/vg/outside outside 5
lvm lvchange -q -y -pr vg/outside; lvm lvchange -q -an vg/outside
lvm lvcreate -q -y -s -kn --thinpool vg/pool -n external vg/outside
lvm lvchange -q -ay vg/outside || say noOutside 1
random t5 1 | dd of=/dev/vg/external bs=64k seek=11 conv=notrunc 2>/dev/null
for lv in root with-dash striped span snap snap2 thin thinsnap outside external; do hash $lv /dev/vg/$lv; done
lvm lvs -a --noheadings --separator : --units b -o lv_name,lv_size,segtype vg | tr -d ' ' | while read line; do say "lv:$line" 1; done
lvm vgchange -q -an vg
`);
}

export const raidTypes = [
  "raid0", "raid0_meta", "raid4", "raid5_ls", "raid5_la", "raid5_rs", "raid5_ra", "raid5_n",
  "raid6_zr", "raid6_nr", "raid6_nc", "raid6_n_6", "raid6_ls_6",
] as const;

/** Every RAID type of LVM over six disks, and mirrors of both kinds. */
export function raidGroup(): Promise<GuestImages> {
  return guestImages("lvm-raid", ["a", "b", "c", "d", "e", "f"].map((name) => ({ name, sizeMb: 128 })), `
set -e
${synced}
echo 1000000 > /proc/sys/dev/raid/speed_limit_min
lvm pvcreate -q $disk0 $disk1 $disk2 $disk3 $disk4 $disk5
lvm vgcreate -q -s 512k vg $disk0 $disk1 $disk2 $disk3 $disk4 $disk5
for type in ${raidTypes.join(" ")}; do
  case $type in raid0*) stripes=4;; raid6*) stripes=4;; *) stripes=3;; esac
  make \${type} --type $type -i $stripes -I 16k -L 8M || { say missing:$type 1; continue; }
done
make raid1 --type raid1 -m 2 -L 5M
make raid10 --type raid10 -i 2 -m 1 -I 16k -L 8M
make mirror --type mirror -m 1 --mirrorlog core -L 4M
synced
for lv in ${raidTypes.join(" ")} raid1 raid10 mirror; do
  [ -e /dev/vg/$lv ] || continue
  fill /dev/vg/$lv $lv 8
done
for lv in ${raidTypes.join(" ")} raid1 raid10 mirror; do [ -e /dev/vg/$lv ] && hash $lv /dev/vg/$lv; done
lvm vgchange -q -an vg
`);
}
