export function FilesView({ backupId, diskIndex, path }: { backupId: string; diskIndex: number; path: string }) {
  return <h1>{backupId} {diskIndex} {path}</h1>;
}
