var a="<<id:1>>",b="<<secret:1>>";
