export function VmView({ vmName, backupId }: { vmName: string; backupId: string | undefined }) {
  return <h1>{vmName} {backupId}</h1>;
}
