import { entryNameParts, visibleParts, type NamePart } from "./visible-name.ts";

/** A guest's name as text, with what would be hidden in it shown as an escape. */
export function Name({ name }: { name: string }) {
  return <Parts parts={visibleParts(name)} />;
}

/** Likewise, with the bytes of a name that is no UTF-8. */
export function EntryName({ entry }: { entry: { readonly name: string; readonly path: string } }) {
  return <Parts parts={entryNameParts(entry)} />;
}

/** Left to right, whatever its letters: the ending of a name stands where everybody looks for it. */
function Parts({ parts }: { parts: readonly NamePart[] }) {
  return <bdi dir="ltr">{parts.map(({ text, isEscape }) => (isEscape ? <span class="escape">{text}</span> : text))}</bdi>;
}
