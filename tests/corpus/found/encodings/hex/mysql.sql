INSERT INTO s VALUES (0x<<HEX>><<id:1>><</HEX>>, 0x<<HEX>><<secret:1>><</HEX>>);
