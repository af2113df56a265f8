ALTER TABLE person RENAME COLUMN last_name TO surname;
