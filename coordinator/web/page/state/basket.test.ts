import { beforeEach, describe, expect, it } from "vitest";
import { addToBasket, basket, basketBytes, basketFolders, emptyBasket, maxBasketItems, removeFromBasket, withoutNested, type BasketItem } from "./basket.ts";

const item = (path: string, more: Partial<BasketItem> = {}): BasketItem => ({ backupId: "b1", diskIndex: 0, path, name: path.slice(path.lastIndexOf("/") + 1), type: "file", size: 5, ...more });

beforeEach(emptyBasket);

describe("the basket", () => {
  it("holds each thing once, and tells disks and restore points apart", () => {
    expect(addToBasket([item("/p1/a"), item("/p1/a"), item("/p1/a", { diskIndex: 1 }), item("/p1/a", { backupId: "b2" })])).toBe(true);
    expect(basket.value).toHaveLength(3);
    removeFromBasket(item("/p1/a", { diskIndex: 1 }));
    expect(basket.value.map(({ backupId, diskIndex }) => [backupId, diskIndex])).toEqual([["b1", 0], ["b2", 0]]);
  });

  it("knows the size of its files, and how many folders have theirs still to be found out", () => {
    addToBasket([item("/p1/a"), item("/p1/big", { size: "9223372036854775807" }), item("/p1/d", { type: "directory", size: 4096 }), item("/p1/l", { type: "symlink", size: 9 })]);
    expect(basketBytes.value).toBe(5 + 2 ** 63);
    expect(basketFolders.value).toBe(1);
  });

  it("takes no more than an archive may hold", () => {
    expect(addToBasket(Array.from({ length: maxBasketItems }, (_, index) => item(`/p1/${index}`)))).toBe(true);
    expect(addToBasket([item("/p1/more")])).toBe(false);
    expect(basket.value).toHaveLength(maxBasketItems);
    expect(addToBasket([item("/p1/1")])).toBe(true);
  });
});

it("what lies in a chosen folder is in it already", () => {
  const folder = item("/p1/etc", { type: "directory" });
  const kept = withoutNested([item("/p1/etc/hosts"), folder, item("/p1/etc/ssh/config"), item("/p1/etc2"), item("/p1/etc/hosts", { diskIndex: 1 }), item("/p1/etc/hosts", { backupId: "b2" })]);
  expect(kept).toEqual([folder, item("/p1/etc2"), item("/p1/etc/hosts", { diskIndex: 1 }), item("/p1/etc/hosts", { backupId: "b2" })]);
});
