@echo off
set AWS_ACCESS_KEY_ID=<<id:1>>
set AWS_SECRET_ACCESS_KEY=<<secret:1>>
