import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigurationError, parseConfig } from "./config.ts";

describe("the configuration", () => {
  it("has a default for everything", () => {
    expect(parseConfig({})).toMatchObject({
      home: resolve(".pluck"), host: "127.0.0.1", port: 8082, brokerPort: 1883, databaseUrl: undefined, brokerUrl: undefined, idleTimeoutS: 3600, mountWaitS: 10, adminToken: undefined,
    });
  });

  it("takes an empty variable for an unset one", () => {
    expect(parseConfig({ PLUCK_DATABASE_URL: "", PLUCK_PORT: "", PLUCK_ADMIN_TOKEN: "" })).toEqual(parseConfig({}));
  });

  it("takes port 0, and URLs without their last slash", () => {
    expect(parseConfig({ PLUCK_PORT: "0", PLUCK_BROKER_PORT: "0", PLUCK_PUBLIC_URL: "https://pluck.example/" })).toMatchObject({ port: 0, brokerPort: 0, publicUrl: "https://pluck.example" });
  });

  it("names every variable that is wrong", () => {
    const wrong = { PLUCK_PORT: "70000", PLUCK_DATABASE_URL: "postgres://x/y", PLUCK_ADMIN_TOKEN: "two words", PLUCK_IDLE_TIMEOUT_S: "0", PLUCK_LOG_LEVEL: "loud" };
    let message = "";
    try {
      parseConfig(wrong);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      message = (error as Error).message;
    }
    for (const name of Object.keys(wrong)) expect(message).toContain(name);
    expect(message).not.toContain("two words");
  });
});
