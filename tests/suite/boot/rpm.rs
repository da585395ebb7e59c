//! The rpm where systemd runs: in the same root, to whose dpkg nobody speaks.

use super::image::Image;
use super::machine::Machine;
use crate::support::netns::Network;
use crate::support::side_by_side::give_way;

/// What the rpm needs is there, and not known to its database.
const RPM: [&str; 4] = ["rpm", "--upgrade", "--force", "--nodeps"];
const CONFIG: &str = "/etc/rolecall/config.toml";
const SERVICE: &str = "rolecall.service";

#[test]
fn the_rpm_is_enabled_by_its_preset_once_and_leaves_nothing_running_behind() {
    give_way();
    let (Some(image), Some(network)) = (Image::of_container(), Network::new()) else {
        return;
    };
    // Baked: nothing runs there. It starts with the next boot.
    let root = image.unpack();
    root.install(&image.rpm(), "rpm --install --nodeps");
    let machine = Machine::boot(&root, &network.host());
    let state = || {
        let ask = |what| machine.output(&["systemctl", what, SERVICE]);
        (ask("is-enabled"), ask("is-active"))
    };
    let states = |enabled: &str, active: &str| (enabled.to_owned(), active.to_owned());
    let process = || machine.output(&["systemctl", "show", "-P", "MainPID", SERVICE]);
    assert_eq!(state(), states("enabled", "active"));

    // An upgrade keeps what was configured, and restarts what runs.
    machine.succeeds(&["sh", "-c", &format!("echo '# ours' >> {CONFIG}")]);
    let before = process();
    machine.install(&image.rpm(), &RPM);
    assert_eq!(state(), states("enabled", "active"));
    assert_ne!(process(), before, "an upgrade restarts the service");
    assert!(machine.output(&["tail", "-n1", CONFIG]).contains("# ours"));

    // It starts nothing that was stopped, and enables nothing that was disabled.
    machine.succeeds(&["systemctl", "stop", SERVICE]);
    machine.install(&image.rpm(), &RPM);
    assert_eq!(state(), states("enabled", "inactive"));
    machine.succeeds(&["systemctl", "disable", SERVICE]);
    machine.install(&image.rpm(), &RPM);
    assert_eq!(state(), states("disabled", "inactive"));

    // Erased while it runs: only what was configured stays.
    machine.succeeds(&["systemctl", "enable", "--now", SERVICE]);
    machine.succeeds(&["rpm", "--erase", "rolecall"]);
    assert_eq!(state().1, "inactive");
    let left = "find / -xdev -name '*rolecall*' -not -path '/proc/*' -not -path '/sys/*'; \
        ls /etc/rolecall";
    let left = machine.output(&["sh", "-c", left]);
    assert_eq!(left, "/etc/rolecall\nconfig.toml.rpmsave");

    // A site's own preset has the last word.
    machine.write_private("/etc/systemd/system-preset/10-site.preset", "disable *\n");
    machine.install(&image.rpm(), &RPM);
    assert_eq!(state(), states("disabled", "inactive"));
    machine.shut_down();
}
