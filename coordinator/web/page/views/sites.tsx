export function SitesView() {
  return <h1>SitesView</h1>;
}
