ALTER TABLE person DROP COLUMN last_name;
