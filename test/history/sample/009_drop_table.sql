-- the older version sees that too
UPDATE option SET content = '{"since": 9}';
DROP TABLE option;
