import { describe, expect, test } from "vitest";
import type { LogRecord } from "./records.ts";
import type { LogRing } from "./ring.ts";
import { TransactionAssembler } from "./transactions.ts";

const flags = { start: 1, commit: 2, continues: 4, wasContinued: 8 };
const ring = { offsetBytes: 0 } as LogRing;

function operation(id: number, operationFlags: number, bytes: Buffer = Buffer.alloc(0), client = 0x69): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(id, 0);
  head.writeUInt32BE(bytes.length, 4);
  head[8] = client;
  head[9] = operationFlags;
  return Buffer.concat([head, bytes]);
}

function record(lsn: bigint, ...operations: Buffer[]): LogRecord {
  const bytes = Buffer.concat(operations);
  const data = Buffer.concat([bytes, Buffer.alloc(512 - (bytes.length % 512))]);
  const headers = Buffer.alloc(512);
  for (let block = 0; block * 512 < data.length; block++) data.copy(headers, 44 + block * 4, block * 512, block * 512 + 4);
  const header = { cycle: 1, version: 2, length: bytes.length, lsn, tailBlock: 0, operationCount: operations.length, bufferBytes: 32768 };
  return { block: 0, header, headers, data, hasChecksum: true };
}

const transactionHeader = Buffer.from("4e415254000000000000000001000000", "hex");

function item(type: number, regionCount: number, rest = ""): Buffer {
  const bytes = Buffer.alloc(4 + rest.length);
  bytes.writeUInt16LE(type, 0);
  bytes.writeUInt16LE(regionCount, 2);
  bytes.write(rest, 4);
  return bytes;
}

describe("transactions", () => {
  test("are put together across records, mixed with others, and count once committed", () => {
    const assembler = new TransactionAssembler(ring);
    expect(assembler.add(record(10n, operation(1, flags.start), operation(1, 0, transactionHeader), operation(2, flags.start), operation(1, 0, item(7, 2, "a"))))).toEqual([]);
    const second = record(
      20n, operation(2, 0, transactionHeader), operation(2, 0, item(8, 1)), operation(1, flags.continues, Buffer.from("begin")), operation(2, flags.commit),
    );
    expect(assembler.add(second)).toMatchObject([{ lsn: 10n, items: [{ type: 8 }] }]);
    const [first] = assembler.add(record(30n, operation(1, flags.wasContinued, Buffer.from("end")), operation(1, flags.commit)));
    expect(first).toMatchObject({ lsn: 10n, items: [{ type: 7, regionCount: 2 }] });
    expect(first!.items[0]!.regions.map(String)[1]).toBe("beginend");
  });

  test("whose header itself is cut in two are read all the same", () => {
    const assembler = new TransactionAssembler(ring);
    assembler.add(record(1n, operation(1, flags.start), operation(1, flags.continues, transactionHeader.subarray(0, 10))));
    const committed = assembler.add(record(2n, operation(1, flags.wasContinued, transactionHeader.subarray(10)), operation(1, 0, item(9, 1)), operation(1, flags.commit)));
    expect(committed).toMatchObject([{ items: [{ type: 9 }] }]);
  });

  test("that began before the log's tail are passed over", () => {
    expect(new TransactionAssembler(ring).add(record(1n, operation(1, 0, item(9, 1)), operation(1, flags.commit)))).toEqual([]);
  });

  test.each([
    ["an unknown client", [operation(1, flags.start, undefined, 0x11)], "oh_clientid 0x11"],
    ["no header", [operation(1, flags.start), operation(1, 0, item(9, 1))], "transaction magic"],
    ["an item of no regions", [operation(1, flags.start), operation(1, 0, transactionHeader), operation(1, 0, item(9, 0))], "0 regions"],
    ["unknown flags", [operation(1, flags.start), operation(1, 0x80)], "oh_flags 0x80"],
  ])("with %s are damage", (_, operations, message) => {
    expect(() => new TransactionAssembler(ring).add(record(1n, ...operations))).toThrow(message);
  });
});
