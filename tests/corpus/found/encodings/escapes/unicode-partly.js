var k = "<<uescape>><<id:1[0..1]>><</uescape>><<id:1[1..20]>>", s = "<<secret:1>>";
