# An image with rolecall in it that holds no AWS key. See docs/ami.md.
#
#   packer build -var region=eu-central-1 packaging/packer/rolecall.pkr.hcl

variable "region" {
  type = string
}

variable "dist" {
  type        = string
  default     = "dist"
  description = "What packaging/build made."
}

variable "reports" {
  type        = string
  default     = "reports"
  description = "A directory of this machine; the SARIF report of the bake goes there."
}

source "amazon-ebs" "image" {
  region        = var.region
  ami_name      = "rolecall-{{timestamp}}"
  instance_type = "t3.small"
  ssh_username  = "ec2-user"

  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters = {
      name                = "al2023-ami-2023.*-x86_64"
      virtualization-type = "hvm"
    }
  }
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    inline = ["mkdir /var/tmp/rolecall-packages"]
  }

  provisioner "file" {
    source      = "${var.dist}/"
    destination = "/var/tmp/rolecall-packages"
  }

  provisioner "shell" {
    script          = "${path.root}/install.sh"
    execute_command = "sudo sh '{{ .Path }}'"
  }

  # What makes the image yours goes here, and then what cleans it: the scan
  # comes last.

  provisioner "shell" {
    script          = "${path.root}/scan.sh"
    execute_command = "sudo sh '{{ .Path }}'"
  }

  provisioner "file" {
    direction   = "download"
    source      = "/var/tmp/rolecall-bake/"
    destination = "${var.reports}/"
  }

  provisioner "shell" {
    script          = "${path.root}/judge.sh"
    execute_command = "sudo sh '{{ .Path }}'"
  }
}
