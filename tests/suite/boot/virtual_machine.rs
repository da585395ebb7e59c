//! Virtual machines that take themselves for instances of EC2: their own
//! kernel, their address by DHCP, and the metadata service one hop away.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::image::{Root, succeeds};
use crate::support::daemon::wait_for;
use crate::support::netns::Network;

/// Of its only network card.
pub(super) const MAC: &str = "02:00:00:00:00:0a";
/// By these cloud-init knows EC2.
const SMBIOS: &str = "type=1,serial=ec2e1916-9099-7caf-fd21-012345abcdef,\
    uuid=ec2e1916-9099-7caf-fd21-012345abcdef";
/// An emulated timer is late where the machine is busy. A panic ends it all.
const KERNEL: &str = "root=/dev/vda rw quiet console=ttyS0 no_timer_check panic=-1";
/// A processor that is emulated takes minutes for what takes seconds.
pub(super) const PATIENCE: Duration = Duration::from_mins(30);
/// The guest agent answers at once, where it runs and the machine is not busy.
const ANSWER: Duration = Duration::from_mins(1);

/// A disk with a root on it, and what it boots with.
pub(super) struct Disk(tempfile::TempDir);

/// A machine that runs; switched off when dropped.
pub(super) struct VirtualMachine {
    processor: Child,
    dhcp: Child,
    agent: PathBuf,
}

impl Disk {
    pub(super) fn of(root: &Root) -> Self {
        let disk = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        for (from, to) in [("vmlinuz", "kernel"), ("initrd.img", "initrd")] {
            fs::copy(root.path().join(from), disk.path(to)).unwrap();
        }
        succeeds(
            Command::new("mke2fs")
                .args(["-q", "-t", "ext4", "-d"])
                .args([root.path(), &disk.path("root")])
                .arg("2G"),
        );
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A device without support by the processor is there and runs nothing.
fn accelerator() -> &'static str {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap();
    let supports = processor
        .split_whitespace()
        .any(|flag| ["vmx", "svm"].contains(&flag));
    if supports && fs::exists("/dev/kvm").unwrap() {
        "kvm"
    } else {
        "tcg"
    }
}

impl VirtualMachine {
    /// Boots where 169.254.169.254 is, until its guest agent answers. What it
    /// says on the console is in `target/boot/console.log`.
    pub(super) fn boot(disk: &Disk, network: &Network) -> Self {
        let agent = disk.path("agent");
        let _ = fs::remove_file(&agent);
        let file = |name: &str| disk.path(name).display().to_string();
        let console = concat!(env!("CARGO_TARGET_TMPDIR"), "/../boot/console.log");
        let (processor, dhcp) = network.at_metadata(|| {
            let dhcp = Command::new("dnsmasq")
                .args([
                    "--keep-in-foreground",
                    "--conf-file=/dev/null",
                    "--pid-file=",
                ])
                .args(["--user=root", "--leasefile-ro", "--no-resolv", "--no-hosts"])
                .args(["--interface=tap0", "--bind-interfaces"])
                .arg("--dhcp-range=10.77.1.10,10.77.1.10,1h")
                .stderr(Stdio::null())
                .spawn();
            let processor = Command::new("qemu-system-x86_64")
                .args(["-accel", accelerator(), "-cpu", "max"])
                .args(["-smp", "2", "-m", "1G", "-display", "none", "-vga", "none"])
                .args(["-no-reboot", "-smbios", SMBIOS, "-serial"])
                .arg(format!("file:{console}"))
                .args(["-kernel", &file("kernel"), "-initrd", &file("initrd")])
                .args(["-append", KERNEL])
                .arg("-drive")
                .arg(format!("file={},format=raw,if=virtio", file("root")))
                .args(["-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"])
                .arg("-device")
                .arg(format!("virtio-net-pci,netdev=net,mac={MAC},romfile="))
                .arg("-chardev")
                .arg(format!(
                    "socket,id=agent,path={},server=on,wait=off",
                    agent.display()
                ))
                .args(["-device", "virtio-serial", "-device"])
                .arg("virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(disk.path("stderr")).unwrap())
                .spawn();
            (processor.unwrap(), dhcp.unwrap())
        });
        let mut machine = Self {
            processor,
            dhcp,
            agent,
        };
        let mut attempt = 0;
        wait_for(PATIENCE, "the guest agent", || {
            if let Some(status) = machine.processor.try_wait().unwrap() {
                panic!(
                    "{status}: {}",
                    fs::read_to_string(disk.path("stderr")).unwrap()
                );
            }
            // Answers to earlier attempts may still come.
            attempt += 1;
            let answer = machine.ask("guest-sync", &json!({"id": attempt}))?;
            (answer == attempt).then_some(())
        });
        machine
    }

    fn ask(&self, command: &str, arguments: &Value) -> Option<Value> {
        let mut agent = UnixStream::connect(&self.agent).ok()?;
        agent.set_read_timeout(Some(ANSWER)).unwrap();
        let request = json!({"execute": command, "arguments": arguments});
        writeln!(agent, "{request}").ok()?;
        let mut answer = String::new();
        BufReader::new(agent).read_line(&mut answer).ok()?;
        let mut answer: Value = serde_json::from_str(&answer).ok()?;
        Some(answer["return"].take())
    }

    /// What a command says as root, however it ends.
    pub(super) fn output(&self, words: &[&str]) -> String {
        let what = words.join(" ");
        let call = json!({"path": words[0], "arg": words[1..], "capture-output": true});
        let started = self.ask("guest-exec", &call).expect("the agent answers");
        let process = json!({"pid": started["pid"]});
        let ended = wait_for(PATIENCE, &what, || {
            let status = self.ask("guest-exec-status", &process)?;
            (status["exited"] == true).then_some(status)
        });
        let output = STANDARD.decode(ended["out-data"].as_str().unwrap_or_default());
        String::from_utf8_lossy(&output.unwrap())
            .trim_end()
            .to_owned()
    }

    pub(super) fn shut_down(mut self) {
        // It may be gone before it tells how that ended.
        let power_off = json!({"path": "systemctl", "arg": ["poweroff"]});
        self.ask("guest-exec", &power_off);
        wait_for(PATIENCE, "the end of the machine", || {
            self.processor.try_wait().unwrap()
        });
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        for process in [&mut self.processor, &mut self.dhcp] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
