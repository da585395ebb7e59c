INSERT INTO s VALUES ('\x<<hex>><<id:1>>:<<secret:1>><</hex>>');
