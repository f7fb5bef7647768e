import { guestImages, type GuestImages } from "../volumes/guest.ts";

export const unsettledDisks = ["a", "b", "c", "d"] as const;

/**
 * Arrays with more than their members to look at: a journal written back and one that was not, logs of bad blocks,
 * bitmaps, members of different sizes, and one that is being reshaped. One partition an array. At the end the machine
 * stops as in a power failure, since md writes its journal back in an orderly one.
 */
export function unsettledArrays(): Promise<GuestImages> {
  return guestImages("md-unsettled", unsettledDisks.map((name) => ({ name, sizeMb: 68 })), `
set -e
for disk in $disk0 $disk1 $disk2 $disk3; do printf 'label: gpt\\nsize=4M\\nsize=4M\\nsize=4M\\nsize=4M\\nsize=8M\\nsize=4M\\nsize=12M\\nsize=4M\\nsize=4M\\nsize=4M\\nsize=4M\\nsize=4M\\n' | sfdisk -q $disk; done
mdev -s
members() { m=""; k=0; for d in $disk0 $disk1 $disk2 $disk3; do [ $k -lt $2 ] && m="$m $d$1"; k=$((k+1)); done; echo $m; }
create() { device=$1; shift; mdadm --create $device --run --quiet --assume-clean --homehost=host "$@"; }
stop() { mdadm --stop --quiet $1; }

# A journal that was written back, and one whose last write was not.
create /dev/md20 --name=written --level=5 --chunk=16 --raid-devices=3 $(members 1 3) --write-journal \${disk3}1
fill /dev/md20 written 6; hash written /dev/md20; stop /dev/md20
create /dev/md21 --name=journal --level=5 --chunk=16 --raid-devices=3 $(members 2 3) --write-journal \${disk3}5
echo write-back > /sys/block/md21/md/journal_mode
fill /dev/md21 early 6; sync

# Bad blocks, in members of RAID 5, 1 and 10 whose bytes there are then overwritten behind md's back. md writes its log
# of them with the next change of the array: the last 64 KiB are written anew, as they were.
start() { cat /sys/block/$1/md/dev-$(basename $2)/offset; }
bad() { at=$(($(start $1 $2) + $3)); echo "$at $4" > /sys/block/$1/md/dev-$(basename $2)/bad_blocks; random garbage$3 1 | dd of=$2 bs=512 seek=$at count=$4 conv=notrunc 2>/dev/null; }
touch_end() { random $2 $3 | dd of=/dev/$1 bs=64k skip=$(($3 * 16 - 1)) seek=$(($3 * 16 - 1)) conv=notrunc,fsync 2>/dev/null; stop /dev/$1; }
create /dev/md22 --name=bad5 --level=5 --chunk=16 --raid-devices=3 $(members 3 3)
fill /dev/md22 bad5 6; hash bad5 /dev/md22
bad md22 \${disk0}3 96 24; bad md22 \${disk1}3 320 8; bad md22 \${disk2}3 128 72; bad md22 \${disk0}3 2048 511
touch_end md22 bad5 6
create /dev/md23 --name=bad1 --level=1 --raid-devices=3 $(members 4 3)
fill /dev/md23 bad1 3; hash bad1 /dev/md23
bad md23 \${disk0}4 0 64; bad md23 \${disk1}4 32 64; bad md23 \${disk2}4 64 8; bad md23 \${disk0}4 3000 500
touch_end md23 bad1 3
create /dev/md24 --name=bad10 --level=10 --layout=f2 --chunk=16 --raid-devices=3 $(members 6 3)
fill /dev/md24 bad10 4; hash bad10 /dev/md24
bad md24 \${disk0}6 8 100; bad md24 \${disk1}6 1024 40; bad md24 \${disk2}6 300 16
touch_end md24 bad10 4
# The same bytes bad in both copies.
create /dev/md25 --name=lost --level=1 --raid-devices=2 $(members 8 2)
fill /dev/md25 lost 3; hash lost /dev/md25
bad md25 \${disk0}8 1000 24; bad md25 \${disk1}8 1016 32
touch_end md25 lost 3

# Members of different sizes, in both layouts of RAID 0.
create /dev/md26 --name=original --level=0 --chunk=16 --layout=original --raid-devices=3 \${disk0}11 \${disk1}5 \${disk2}7
fill /dev/md26 original 48; hash original /dev/md26; stop /dev/md26
create /dev/md27 --name=alternate --level=0 --chunk=16 --layout=alternate --raid-devices=3 \${disk1}11 \${disk2}5 \${disk3}7
fill /dev/md27 alternate 48; hash alternate /dev/md27; stop /dev/md27

# A bitmap, a member that left while it was kept, and writes since.
create /dev/md28 --name=bitmap --level=1 --bitmap=internal --bitmap-chunk=64K --raid-devices=2 $(members 9 2)
fill /dev/md28 before 3
mdadm --quiet /dev/md28 --fail \${disk0}9
random since 1 | dd of=/dev/md28 bs=64k seek=3 conv=notrunc 2>/dev/null
hash bitmap /dev/md28; stop /dev/md28
# Left running, its bitmap dirty.
create /dev/md29 --name=running --level=5 --chunk=16 --bitmap=internal --raid-devices=3 $(members 10 3)
fill /dev/md29 running 6; hash running /dev/md29

# In the middle of a reshape.
create /dev/md30 --name=reshape --level=5 --chunk=16 --raid-devices=3 $(members 12 3)
fill /dev/md30 reshape 6
mdadm --quiet /dev/md30 --add \${disk3}12
echo 0 > /proc/sys/dev/raid/speed_limit_min; echo 1 > /proc/sys/dev/raid/speed_limit_max
mdadm --grow --quiet /dev/md30 --raid-devices=4 --backup-file=/tmp/backup < /dev/null
say reshape $(cat /sys/block/md30/md/reshape_position)
stop /dev/md30

random late 1 | dd of=/dev/md21 bs=4k seek=50 conv=notrunc,fsync 2>/dev/null
hash journal /dev/md21
random later 1 | dd of=/dev/md21 bs=4k seek=700 count=64 conv=notrunc,fsync 2>/dev/null
hash journal-late /dev/md21
sync
say finished 0
sleep 1
# The same once more, so that the journal holds it at the very end.
random later 1 | dd of=/dev/md21 bs=4k seek=700 count=64 conv=notrunc,fsync 2>/dev/null
echo b > /proc/sysrq-trigger
sleep 100
`);
}
