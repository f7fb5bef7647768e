import { guestImages, type GuestImages } from "../volumes/guest.ts";

export const unsettledDisks = ["a", "b", "c", "d"] as const;

/**
 * Groups that the machine was stopped in the middle of: snapshots being merged, extents being moved, RAID with an
 * image left behind, being synchronised or reshaped; also caches, integrity, and a physical volume without a group.
 * One partition a group, on as many disks as it has physical volumes.
 */
export function unsettledGroups(): Promise<GuestImages> {
  return guestImages("lvm-unsettled", unsettledDisks.map((name) => ({ name, sizeMb: 156 })), `
set -e
for disk in $disk0 $disk1 $disk2 $disk3; do printf 'label: gpt\\nsize=2M\\nsize=36M\\nsize=22M\\nsize=10M\\nsize=12M\\nsize=24M\\nsize=2M\\nsize=16M\\n' | sfdisk -q $disk; done
mdev -s
make() { vg=$1; name=$2; shift; shift; lvm lvcreate -q -y -Wn -Zn -n $name $vg "$@"; }
group() { vg=$1; shift; lvm vgcreate -q -s 512k $vg "$@"; }
sync_slowly() { echo 0 > /proc/sys/dev/raid/speed_limit_min; echo 1 > /proc/sys/dev/raid/speed_limit_max; }
synced() { n=0; while lvm lvs --noheadings -a -o copy_percent $1 2>/dev/null | grep -v 100.00 | grep -q '[0-9]'; do sleep 0.2; n=$((n+1)); [ $n -lt 200 ]; done; }
echo 1000000 > /proc/sys/dev/raid/speed_limit_min

# Metadata in an area that holds two of them: changed until a text goes over the end and on at the beginning.
lvm pvcreate -q --metadatasize 32k --dataalignment 4k --config devices/default_data_alignment=0 \${disk0}1
lvm vgcreate -q -s 64k wrap \${disk0}1
make wrap one -l 3; make wrap two -l 2
fill /dev/wrap/one one 1; fill /dev/wrap/two two 1
place() { dd if=\${disk0}1 bs=8 skip=$(((4096 + $1) / 8)) count=1 2>/dev/null | hexdump -v -e '1/4 "%u "' | cut -d' ' -f1; }
tags=""; n=0; while [ $n -lt 60 ]; do tags="$tags --addtag t$n$(echo $n | md5sum | cut -c1-32)$(echo x$n | md5sum | cut -c1-32)"; n=$((n+1)); done
lvm vgchange -q $tags wrap
n=0
while offset=$(place 40); size=$(place 48); area=$(place 32); [ $((offset + size)) -le $area ]; do
  lvm vgchange -q --addtag change$n wrap
  n=$((n+1)); [ $n -lt 30 ]
done
say wraps $offset $size $area
hash wrap-one /dev/wrap/one; hash wrap-two /dev/wrap/two

# Snapshots being merged: one that waits until its origin is closed, one half done, and a thin one that waits.
lvm pvcreate -q \${disk0}2; group merge \${disk0}2
make merge waits -L 3M; fill /dev/merge/waits p1 3
lvm lvcreate -q -y -s -n waitssnap -L 2M -c 4k merge/waits
random p2 1 | dd of=/dev/merge/waits bs=4k seek=100 conv=notrunc 2>/dev/null
random p3 1 | dd of=/dev/merge/waitssnap bs=4k seek=300 conv=notrunc 2>/dev/null
hash merge-waits /dev/merge/waitssnap
sleep 10000 < /dev/merge/waits &
lvm lvconvert -q -y --merge merge/waitssnap
make merge half -L 5M; fill /dev/merge/half q1 5
lvm lvcreate -q -y -s -n halfsnap -L 6M -c 4k merge/half
fill /dev/merge/half q2 5
random q3 1 | dd of=/dev/merge/halfsnap bs=4k seek=300 conv=notrunc 2>/dev/null
hash merge-half /dev/merge/halfsnap
echo 1 > /sys/module/dm_snapshot/parameters/snapshot_copy_throttle
lvm lvconvert -q -y --merge -b -i +600 merge/halfsnap < /dev/null
dmsetup suspend merge-half
say half $(dmsetup status merge-half)
lvm lvcreate -q -y --type thin-pool -Zy -L 6M --poolmetadatasize 2M -c 64k -n pool merge
lvm lvcreate -q -y -V 6M --thinpool merge/pool -n thin
random t1 2 | dd of=/dev/merge/thin bs=64k seek=5 conv=notrunc 2>/dev/null
lvm lvcreate -q -y -s -kn -n thinsnap merge/thin; lvm lvchange -q -ay -K merge/thinsnap
random t3 1 | dd of=/dev/merge/thin bs=64k seek=20 conv=notrunc 2>/dev/null
random t4 1 | dd of=/dev/merge/thinsnap bs=4k seek=333 conv=notrunc 2>/dev/null
hash merge-thin /dev/merge/thinsnap
sleep 10000 < /dev/merge/thin &
lvm lvconvert -q -y --merge merge/thinsnap

# pvmove half done, and mirrors with a log and without.
lvm pvcreate -q \${disk0}3 \${disk1}3 \${disk2}3 \${disk3}3; group move \${disk0}3 \${disk1}3; group mirrors \${disk2}3 \${disk3}3
make move moved -L 10M \${disk0}3; fill /dev/move/moved m1 10
echo 1 > /sys/module/dm_mirror/parameters/raid1_resync_throttle
lvm pvmove -q -b -i +600 -n moved \${disk0}3 \${disk1}3 < /dev/null
random m2 1 | dd of=/dev/move/moved bs=4k seek=1000 conv=notrunc 2>/dev/null
say moving $(dmsetup status move-pvmove0)
hash move-moved /dev/move/moved
echo 100 > /sys/module/dm_mirror/parameters/raid1_resync_throttle
make mirrors core --type mirror -m 1 --mirrorlog core -L 3M \${disk2}3 \${disk3}3
make mirrors logged --type mirror -m 1 --mirrorlog disk --alloc anywhere -L 4M \${disk2}3 \${disk3}3
fill /dev/mirrors/core c 3; fill /dev/mirrors/logged l 4
synced mirrors
hash mirrors-core /dev/mirrors/core; hash mirrors-logged /dev/mirrors/logged

# RAID that went on without the first disk, which then came back; and a group that gave a disk up as missing.
lvm pvcreate -q \${disk0}4 \${disk1}4 \${disk2}4 \${disk3}4; group leg \${disk0}4 \${disk1}4 \${disk2}4; group lost \${disk3}4 \${disk0}7
make leg one --type raid1 -m 1 -L 2M \${disk0}4 \${disk1}4
make leg five --type raid5 -i 2 -I 16k -L 3M \${disk0}4 \${disk1}4 \${disk2}4
make lost there -l 2 \${disk3}4; make lost gone -l 1 \${disk0}7; make lost removed -l 1 \${disk3}4
fill /dev/lost/there there 1
synced leg
fill /dev/leg/one one 2; fill /dev/leg/five five 3
lvm vgchange -q -an leg; lvm vgchange -q -an lost
without="devices{filter=[\\"r|\${disk0}4|\\",\\"r|\${disk0}7|\\"]}"
lvm vgchange -q -ay --activationmode degraded --config "$without" leg
random l2 1 | dd of=/dev/leg/one bs=64k conv=notrunc 2>/dev/null; random l3 2 | dd of=/dev/leg/five bs=64k conv=notrunc 2>/dev/null
hash leg-one /dev/leg/one; hash leg-five /dev/leg/five
lvm vgchange -q -an --config "$without" leg
lvm lvremove -q -y --config "$without" lost/removed
lvm lvchange -q -ay --config "$without" lost/there; hash lost-there /dev/lost/there

# RAID over disks that hold something else, not yet synchronised; and one being reshaped.
for disk in $disk0 $disk1 $disk2 $disk3; do fill \${disk}5 garbage$disk 12; done
lvm pvcreate -q -y \${disk0}5 \${disk1}5 \${disk2}5 \${disk3}5; group shape \${disk0}5 \${disk1}5 \${disk2}5 \${disk3}5
make shape reshaped --type raid5 -i 2 -I 16k -L 2M \${disk0}5 \${disk1}5 \${disk2}5
synced shape
sync_slowly
lvm lvconvert -q -y --stripes 3 shape/reshaped < /dev/null
make shape five --type raid5 -i 2 -I 16k -L 6M \${disk0}5 \${disk1}5 \${disk2}5
make shape one --type raid1 -m 1 -L 3M \${disk0}5 \${disk1}5
random s1 1 | dd of=/dev/shape/five bs=4k seek=7 conv=notrunc 2>/dev/null; random s2 1 | dd of=/dev/shape/one bs=4k seek=9 conv=notrunc 2>/dev/null
say syncing-five $(dmsetup status shape-five); say syncing-one $(dmsetup status shape-one)
hash shape-five /dev/shape/five; hash shape-one /dev/shape/one

# What is refused by name, beside what isn't.
lvm pvcreate -q \${disk0}6 \${disk1}6; group fast \${disk0}6 \${disk1}6
make fast checked --type raid1 -m 1 --raidintegrity y -L 1M
make fast cached -L 2M \${disk0}6; make fast quick -L 8M \${disk1}6
lvm lvconvert -q -y --type cache --cachevol quick fast/cached
make fast late -an -L 2M \${disk0}6; make fast store -an -L 4M \${disk1}6
lvm lvconvert -q -y --type writecache --cachevol store fast/late
make fast plain -L 1M \${disk0}6; fill /dev/fast/plain plain 1; hash fast-plain /dev/fast/plain

# In no group.
lvm pvcreate -q \${disk3}7
`);
}
