import { visibleParts } from "./visible-name.ts";

/** A guest's name as text, with what would be hidden in it shown as an escape. */
export function Name({ name }: { name: string }) {
  return <bdi>{visibleParts(name).map(({ text, isEscape }) => (isEscape ? <span class="escape">{text}</span> : text))}</bdi>;
}
