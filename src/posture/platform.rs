//! Whether this machine is an EC2 instance, from DMI alone: no packet is sent
//! to find out.
//!
//! Nitro and bare-metal instances name `Amazon EC2` as vendor. Xen instances
//! carry a UUID that starts with `ec2`, in either byte order, and a BIOS
//! version that ends in `amazon`. Source: AWS, "Identify EC2 instances".

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::host::{from_here, resolve};
use crate::sanitize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Platform {
    Ec2,
    /// Not EC2, with a sentence that says how this is known.
    Other(String),
}

pub(super) fn read_platform(root: &Path) -> Platform {
    let dmi = |name: &str| read_word(root, &Path::new("/sys/class/dmi/id").join(name));
    let vendor = dmi("sys_vendor");
    let bios_vendor = dmi("bios_vendor");
    let bios_version = dmi("bios_version");
    let product_uuid = dmi("product_uuid");
    let asset_tag = dmi("board_asset_tag");
    let xen_uuid = read_word(root, Path::new("/sys/hypervisor/uuid"));

    let amazon = |text: &Option<String>| {
        text.as_deref()
            .is_some_and(|text| text.to_ascii_lowercase().contains("amazon"))
    };
    let ec2_uuid = |text: &Option<String>| text.as_deref().is_some_and(starts_with_ec2);
    if amazon(&vendor)
        || amazon(&bios_vendor)
        || amazon(&bios_version)
        || ec2_uuid(&product_uuid)
        || ec2_uuid(&xen_uuid)
        || asset_tag.as_deref().is_some_and(is_instance_id)
    {
        return Platform::Ec2;
    }
    Platform::Other(match vendor.or(bios_vendor) {
        Some(vendor) => format!(
            "this is not an EC2 instance: DMI names {} as its vendor",
            sanitize::line(&vendor)
        ),
        None => "this is not an EC2 instance: there is no DMI that says so".into(),
    })
}

/// The first three hexadecimal digits are `ec2`; some Xen BIOSes store the
/// first group with its bytes reversed.
fn starts_with_ec2(uuid: &str) -> bool {
    let uuid = uuid.to_ascii_lowercase();
    let reversed = || {
        let group = uuid.get(..8)?;
        (group.get(6..8)? == "ec" && group.get(4..5)? == "2").then_some(())
    };
    uuid.starts_with("ec2") || reversed().is_some()
}

fn is_instance_id(tag: &str) -> bool {
    tag.strip_prefix("i-").is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// One short line of a sysfs file; `None` where it is missing, unreadable or
/// blank.
fn read_word(root: &Path, path: &Path) -> Option<String> {
    // A link in an image must not lead to what this machine says.
    let path = resolve(root, path, &mut |_| None).ok()?;
    let mut raw = Vec::new();
    File::open(from_here(root, &path))
        .ok()?
        .take(256)
        .read_to_end(&mut raw)
        .ok()?;
    let word = String::from_utf8_lossy(&raw).trim().to_owned();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> Platform {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join("sys").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        read_platform(root.path())
    }

    #[test]
    fn a_link_in_an_image_does_not_lead_to_this_machine() {
        let outside = tempfile::tempdir().unwrap();
        let vendor = outside.path().join("class/dmi/id/sys_vendor");
        std::fs::create_dir_all(vendor.parent().unwrap()).unwrap();
        std::fs::write(vendor, "Amazon EC2\n").unwrap();
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("sys")).unwrap();
        assert_ne!(read_platform(root.path()), Platform::Ec2);
    }

    #[test]
    fn every_generation_of_ec2_is_known() {
        for file in [
            ("class/dmi/id/sys_vendor", "Amazon EC2\n"),
            ("class/dmi/id/bios_vendor", "Amazon EC2\n"),
            ("class/dmi/id/bios_version", "4.11.amazon\n"),
            (
                "class/dmi/id/product_uuid",
                "EC2F58AF-2DAD-C57E-88C0-A81CB6084290\n",
            ),
            (
                "class/dmi/id/product_uuid",
                "45E12AEC-DCD1-B213-94ED-012345ABCDEF\n",
            ),
            ("class/dmi/id/board_asset_tag", "i-0123456789abcdef0\n"),
            ("hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n"),
        ] {
            assert_eq!(host(&[file]), Platform::Ec2, "{file:?}");
        }
    }

    #[test]
    fn another_vendor_is_named_and_made_safe() {
        let Platform::Other(reason) = host(&[("class/dmi/id/sys_vendor", "Evil\x1b[31m\n")]) else {
            panic!("taken for EC2");
        };
        assert!(reason.ends_with("DMI names Evil\\x1b[31m as its vendor"));
    }

    #[test]
    fn no_dmi_is_not_ec2() {
        assert!(matches!(host(&[]), Platform::Other(_)));
        assert!(matches!(
            host(&[("class/dmi/id/product_uuid", "\n")]),
            Platform::Other(_)
        ));
    }
}
