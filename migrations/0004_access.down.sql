DROP TABLE IF EXISTS restore_events;
DROP TABLE IF EXISTS signing_keys;
DROP TABLE IF EXISTS api_tokens;
