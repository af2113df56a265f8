DROP TABLE option;
