import { guestImages, type GuestImages } from "../volumes/guest.ts";

// Arrays as mdadm and the kernel make them: one for each partition number, over as many disks as it has members.

export interface TestArray {
  readonly name: string;
  readonly members: number;
  readonly options: string;
  /** Members that may be missing, all combinations of so many. */
  readonly spare: number;
}

const raid5 = ["left-asymmetric", "right-asymmetric", "left-symmetric", "right-symmetric", "parity-first", "parity-last"];
const raid6 = [
  ...raid5, "ddf-zero-restart", "ddf-N-restart", "ddf-N-continue",
  "left-asymmetric-6", "right-asymmetric-6", "left-symmetric-6", "right-symmetric-6", "parity-first-6",
];
const raid10: readonly (readonly [string, number, number])[] = [["n2", 4, 1], ["n2", 5, 1], ["n3", 5, 2], ["f2", 4, 1], ["f2", 5, 1], ["o2", 4, 1], ["o2", 5, 1], ["f3", 5, 2], ["o3", 6, 2]];

export const testArrays: readonly TestArray[] = [
  { name: "linear", members: 3, options: "--level=linear --rounding=64", spare: 0 },
  { name: "stripes", members: 4, options: "--level=0 --chunk=16", spare: 0 },
  { name: "mirror10", members: 3, options: "--level=1 --metadata=1.0", spare: 2 },
  { name: "mirror11", members: 2, options: "--level=1 --metadata=1.1", spare: 1 },
  { name: "four", members: 4, options: "--level=4 --chunk=16", spare: 1 },
  ...raid5.map((layout): TestArray => ({ name: `five-${layout}`, members: 4, options: `--level=5 --chunk=16 --layout=${layout}`, spare: 1 })),
  ...raid6.map((layout): TestArray => ({ name: `six-${layout}`, members: 6, options: `--level=6 --chunk=16 --layout=${layout}`, spare: 2 })),
  ...raid10.map(([layout, members, spare]): TestArray => ({ name: `ten-${layout}-${members}`, members, options: `--level=10 --chunk=16 --layout=${layout}`, spare })),
];

export const diskNames = ["a", "b", "c", "d", "e", "f"] as const;

const setUp = `
set -e
for disk in $disk0 $disk1 $disk2 $disk3 $disk4 $disk5; do printf "label: gpt\\n$table" | sfdisk -q $disk; done
mdev -s
members() { m=""; k=0; for d in $disk0 $disk1 $disk2 $disk3 $disk4 $disk5; do [ $k -lt $2 ] && m="$m $d$1"; k=$((k+1)); done; echo $m; }
create() { device=$1; shift; mdadm --create $device --run --quiet --assume-clean --homehost=host "$@"; }
`;

export function arrays(): Promise<GuestImages> {
  return guestImages("md-levels", diskNames.map((name) => ({ name, sizeMb: 200 })), `
table="${testArrays.map(() => "size=4M\\\\n").join("")}"
${setUp}
${testArrays.map((array, index) => `
create /dev/md$((${index} + 10)) --name=${array.name} ${array.options} --raid-devices=${array.members} $(members ${index + 1} ${array.members})
fill /dev/md$((${index} + 10)) ${array.name} 16
hash ${array.name} /dev/md$((${index} + 10))
mdadm --stop --quiet /dev/md$((${index} + 10))`).join("\n")}
`);
}

/** Superblock 0.90, members of different sizes, out-of-date members, bare disks, and LVM on arrays. */
export function oddArrays(): Promise<GuestImages> {
  return guestImages("md-odd", [...diskNames.map((name) => ({ name, sizeMb: 64 })), { name: "g", sizeMb: 24 }, { name: "h", sizeMb: 24 }, { name: "i", sizeMb: 16 }, { name: "j", sizeMb: 16 }], `
table="size=4M\\nsize=4M\\nsize=4M\\nsize=4M\\nsize=8M\\nsize=4M\\n"
${setUp}
# 0.90, of three levels.
create /dev/md90 --metadata=0.90 --level=5 --chunk=16 --raid-devices=4 $(members 1 4)
fill /dev/md90 old5 16; hash md90 /dev/md90; mdadm --stop --quiet /dev/md90
create /dev/md91 --metadata=0.90 --level=linear --rounding=64 --raid-devices=3 $(members 2 3)
fill /dev/md91 old1 16; hash md91 /dev/md91; mdadm --stop --quiet /dev/md91
# Different sizes in RAID 0: three zones.
create /dev/md12 --name=zones --level=0 --chunk=16 --raid-devices=3 \${disk3}2 \${disk4}5 $disk6
fill /dev/md12 zones 48; hash zones /dev/md12; mdadm --stop --quiet /dev/md12
# A member that left the array before the last writes.
create /dev/md13 --name=stale --level=1 --raid-devices=2 $(members 3 2)
fill /dev/md13 early 4
mdadm --quiet /dev/md13 --fail \${disk0}3
fill /dev/md13 late 4; hash stale /dev/md13; mdadm --stop --quiet /dev/md13
# A volume group on RAID 5 that lacks a member.
create /dev/md14 --name=stack --level=5 --chunk=16 --raid-devices=3 $(members 5 3)
lvm pvcreate -q /dev/md14; lvm vgcreate -q -s 512k vgmd /dev/md14
lvm lvcreate -q -y -Wn -Zn -l 7 -n one vgmd; lvm lvcreate -q -y -Wn -Zn -l 5 -n two vgmd
mdadm --quiet /dev/md14 --fail \${disk1}5
fill /dev/vgmd/one one 4; fill /dev/vgmd/two two 4; hash vgmd-one /dev/vgmd/one; hash vgmd-two /dev/vgmd/two
lvm vgchange -q -an vgmd; mdadm --stop --quiet /dev/md14
# A mirror of whole disks with a partition table inside, its superblock at the end.
create /dev/md15 --name=whole --metadata=1.0 --level=1 --raid-devices=2 $disk8 $disk9
printf 'label: gpt\\nsize=3M\\nsize=5M\\n' | sfdisk -q /dev/md15; mdev -s
fill /dev/md15p1 w1 3; fill /dev/md15p2 w2 5; hash whole-p1 /dev/md15p1; hash whole-p2 /dev/md15p2; mdadm --stop --quiet /dev/md15
# An array being reshaped can't be had in a short time; one with a name of odd characters can.
create /dev/md16 --name='od d:näme' --level=1 --raid-devices=2 $(members 6 2)
fill /dev/md16 odd 4; hash odd /dev/md16; mdadm --stop --quiet /dev/md16
`);
}
