import boto3
session = boto3.Session('<<id:1>>', '<<secret:1>>', region_name='eu-west-1')
