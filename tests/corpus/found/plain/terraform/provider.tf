provider "aws" {
  region     = "eu-west-1"
  access_key = "<<id:1>>"
  secret_key = "<<secret:1>>"
}
