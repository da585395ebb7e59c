var k = "\u0041<<id:1[1..20]>>";
var again = "<<uescape>><<id:1>><</uescape>>";
