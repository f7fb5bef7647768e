import { describe, expect, test } from "vitest";
import { arrayNames, logicalVolumeNames, mapperName, parseKernelDevice } from "./device-name.ts";
import { isOnDisk, parseCrypttab, parseFstab } from "./fstab.ts";

describe("fstab", () => {
  test("fields are parted by blanks, escapes are bytes in octal, comments and short lines are passed over", () => {
    const lines = parseFstab(
      ["# a comment", "", "  UUID=1 \t/srv/my\\040data\\011x ext4 ro,noatime 0 2\r", 'LABEL="a b" /b xfs', "/dev/sda1 none swap sw", "lonely", "/dev/sda2 /c"].join("\n"),
    );
    expect(lines).toEqual([
      { source: "UUID=1", mountPoint: "/srv/my data\tx", type: "ext4", options: ["ro", "noatime"] },
      { source: "LABEL=a b", mountPoint: "/b", type: "xfs", options: ["defaults"] },
      { source: "/dev/sda2", mountPoint: "/c", type: "auto", options: ["defaults"] },
    ]);
  });

  test("what only a running guest has is not looked for on the disk", () => {
    const types = ["proc", "tmpfs", "nfs", "nfs4", "cifs", "fuse.sshfs", "swap", "ext4", "none"];
    expect(types.filter((type) => isOnDisk({ source: "x", mountPoint: "/x", type, options: [] }))).toEqual(["ext4"]);
    expect(isOnDisk({ source: "/srv", mountPoint: "/x", type: "none", options: ["bind"] })).toBe(true);
  });

  test("crypttab gives name and source", () => {
    expect(parseCrypttab("sda3_crypt UUID=7 none luks,discard\n# x\n")).toEqual([{ name: "sda3_crypt", source: "UUID=7" }]);
  });
});

describe("device names", () => {
  test.each([
    ["/dev/sda2", "/dev/sda", 2, true],
    ["/dev/vdb", "/dev/vdb", undefined, false],
    ["/dev/nvme0n1p3", "/dev/nvme0n1", 3, true],
    ["/dev/nvme1n1p3", "/dev/nvme1n1", 3, false],
    ["/dev/mmcblk0p1", "/dev/mmcblk0", 1, true],
    ["/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part1", "/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0", 1, false],
  ] as const)("%s", (source, disk, partition, isFirst) => expect(parseKernelDevice(source)).toEqual({ disk, partition, isFirst }));

  test("device-mapper doubles the dashes of both names", () => {
    expect(mapperName("/dev/mapper/my--vg-root")).toBe("my--vg-root");
    expect(mapperName("/dev/my-vg/root")).toBe("my--vg-root");
    expect(mapperName("/dev/disk/by-id/dm-name-my--vg-root")).toBe("my--vg-root");
    expect(mapperName("/dev/disk/by-uuid")).toBeUndefined();
    expect(logicalVolumeNames("my--vg-root")).toContain("my-vg-root");
  });

  test("arrays go by number or by name", () => {
    expect(arrayNames("/dev/md/host:data")).toContain("md-data");
    expect(arrayNames("/dev/md127")).toContain("md127");
    expect(arrayNames("/dev/sda")).toEqual([]);
  });
});
