CREATE TABLE kinds (label TEXT, code TEXT PRIMARY KEY, price TEXT, since TEXT, live INTEGER, tags TEXT, unused BLOB);
INSERT INTO kinds VALUES
  ('first', 'a', '12.50', '2026-01-31', 1, '["x", "y"]', x'00'),
  ('second', 'b', 3, NULL, 0, NULL, NULL);
CREATE VIEW cheap AS SELECT code, label FROM kinds WHERE CAST(price AS REAL) < 10;
