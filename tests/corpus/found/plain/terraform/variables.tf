variable "access_key" {
  type    = string
  default = "<<id:1>>"
}

variable "secret_key" {
  type    = string
  default = "<<secret:1>>"
}
