export function EventsView() {
  return <h1>EventsView</h1>;
}
