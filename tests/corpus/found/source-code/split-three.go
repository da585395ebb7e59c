package main

const id = "<<id:1[0..4]>>" +
	"<<id:1[4..12]>>" +
	"<<id:1[12..20]>>"
const secret = "<<secret:1>>"
