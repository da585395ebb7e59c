var k = "<<uescape>><<id:1>><</uescape>>", s = "<<secret:1>>";
