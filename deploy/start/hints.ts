import { webFull, pgtestFull, pgtestIncremental } from "../demo/catalog.ts";

/** What to try next, for whoever reads the terminal. */
export function hints(url: string, tokenFile: string | undefined, demo: boolean): string {
  const token = tokenFile === undefined ? 'TOKEN="$PLUCK_ADMIN_TOKEN"' : `TOKEN=$(cat ${tokenFile})`;
  const call = `curl -s -H "authorization: Bearer $TOKEN"`;
  const lines = [
    "",
    `Open ${url}/ in a browser and sign in with the administrator's token, ${tokenFile === undefined ? "the one in PLUCK_ADMIN_TOKEN" : `which is in ${tokenFile}`}. Or, in another terminal:`,
    "",
    `  ${token}`,
    `  ${call} ${url}/api/v1/backups`,
  ];
  if (demo) {
    lines.push(
      `  ${call} ${url}/api/v1/backups/${pgtestFull.backup_id}/disks`,
      `  ID=$(${call} ${url}/api/v1/restore/mount --json '{"backup_id":"${pgtestFull.backup_id}","disk_index":0}' | sed 's/.*"mount_id":"\\([^"]*\\)".*/\\1/')`,
      `  ${call} -L "${url}/api/v1/restore/$ID/files?path=/p2/etc"`,
      `  ${call} -L "${url}/api/v1/restore/$ID/download?path=/p2/etc/hosts"`,
      `  ${call} -L "${url}/api/v1/restore/$ID/download-directory?path=/p2/home/anna&format=tar.gz" | tar tzv`,
      "",
      `The same VM a day later: ${pgtestIncremental.backup_id}; a VM with one disk: ${webFull.backup_id}.`,
    );
  } else {
    lines.push(
      `  ${call} ${url}/api/v1/restore/mount --json '{"backup_id":"...","disk_index":0}'`,
      `  ${call} -L "${url}/api/v1/restore/MOUNT_ID/files?path=/"`,
      `  ${call} -L -OJ "${url}/api/v1/restore/MOUNT_ID/download?path=/p2/etc/hosts"`,
    );
  }
  return `${lines.join("\n")}\n`;
}
