export function MountsView() {
  return <h1>MountsView</h1>;
}
