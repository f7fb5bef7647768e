export function VmsView() {
  return <h1>VmsView</h1>;
}
