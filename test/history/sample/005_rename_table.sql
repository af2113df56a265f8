ALTER TABLE setting RENAME TO option;
ALTER TABLE option RENAME COLUMN value TO content;
UPDATE option SET content = content || '{"since": 5}';
