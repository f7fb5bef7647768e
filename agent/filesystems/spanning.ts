/** What a device says of itself as a part of a filesystem that may lie on several. */
export interface FileSystemMember {
  /** The same for all devices of one filesystem, and for no other. */
  readonly key: string;
  /** For people: "btrfs filesystem 5c1f3c1e-…". */
  readonly title: string;
  /** Its number in the filesystem; 0 while it is being filled to replace another device. */
  readonly deviceId: number;
  readonly deviceUuid: string;
  /** Rises with every commit that the device took part in. */
  readonly generation: number;
  /** How many devices the filesystem has, as this one knows. */
  readonly deviceCount: number;
}
