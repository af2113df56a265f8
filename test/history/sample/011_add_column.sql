ALTER TABLE appointment ADD COLUMN seen_by integer;
