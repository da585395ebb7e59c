INSERT INTO `accounts` VALUES (1,'main','<<id:1>>','<<secret:1>>','2026-03-01 10:00:00'),(2,'dr','<<id:2>>','<<secret:2>>','2026-03-01 10:00:00');
