//! The one-shot check as a gate: a unit that requires it.

use super::image::Image;
use super::machine::Machine;
use super::{CONFIG, doubles, healthy};
use crate::support::host::Host;
use crate::support::netns::Network;
use crate::support::side_by_side::give_way;

/// As the page has it.
const SHOP: &str = "[Unit]\nRequires=rolecall-check.service\nAfter=rolecall-check.service\n\
    [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";

#[test]
fn a_unit_that_requires_the_check_starts_where_no_static_key_is_and_nowhere_else() {
    give_way();
    let (Some(image), Some(network)) = (Image::of_container(), Network::new()) else {
        return;
    };
    let _doubles = doubles(&network, healthy());
    let root = image.install();
    root.write("etc/rolecall/config.d/test.toml", CONFIG);
    root.write("etc/systemd/system/shop.service", SHOP);
    root.succeeds("systemctl disable rolecall.service");
    let machine = Machine::boot(&root, &network.host());
    let after = |command: &[&str]| {
        machine.output(&[&["systemctl"], command].concat());
        let status = ["-P", "ExecMainStatus", "rolecall-check.service"];
        (
            machine.output(&["systemctl", "is-active", "shop.service"]),
            machine.output(&[&["systemctl", "show"], &status[..]].concat()),
        )
    };
    let states = |shop: &str, check: &str| (shop.to_owned(), check.to_owned());
    let journal = || machine.output(&["journalctl", "-u", "rolecall-check.service"]);
    let start = ["start", "shop.service"];
    assert_eq!(after(&start), states("active", "0"), "{}", journal());

    // Asked again, it stops what must not run any longer.
    let key = Host::new().key_pair();
    machine.write_private("/home/deploy/.aws/credentials", &key.env());
    let again = ["restart", "rolecall-check.service"];
    assert_eq!(after(&again), states("inactive", "1"), "{}", journal());

    // Unknown is not clean.
    machine.succeeds(&["rm", "/home/deploy/.aws/credentials"]);
    let opaque = "base64 -d >/srv/vendor.7z <<<N3q8ryccAAQ=";
    machine.succeeds(&["bash", "-c", opaque]);
    assert_eq!(after(&start), states("inactive", "2"), "{}", journal());
    machine.shut_down();
}
