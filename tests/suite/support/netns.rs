//! Two network namespaces with a cable between them: a host, and the place
//! where 169.254.169.254 is. Nothing sent in there leaves this machine.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespaces; taken away when dropped.
pub(crate) struct Network {
    name: String,
}

impl Network {
    /// `None`, with the reason printed, where this user may not make
    /// namespaces. Without `ip` it panics: that is a broken machine.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let n = COUNT.fetch_add(1, Ordering::SeqCst);
        let network = Self {
            name: format!("rolecall-{}-{n}", std::process::id()),
        };
        let (host, metadata) = (network.host(), network.metadata());
        if !ip(&["netns", "add", &host]) {
            eprintln!("skipped: `ip netns add` is not allowed here (CAP_SYS_ADMIN, CAP_NET_ADMIN)");
            return None;
        }
        for command in [
            format!("netns add {metadata}"),
            format!("-n {host} link set lo up"),
            format!("-n {metadata} link set lo up"),
            format!("-n {host} link add veth0 type veth peer name veth1 netns {metadata}"),
            format!("-n {host} addr add 10.77.0.1/24 dev veth0"),
            format!("-n {metadata} addr add 10.77.0.2/24 dev veth1"),
            format!("-n {host} addr add fd00:77::1/64 dev veth0 nodad"),
            format!("-n {metadata} addr add fd00:77::2/64 dev veth1 nodad"),
            format!("-n {host} link set veth0 up"),
            format!("-n {metadata} link set veth1 up"),
            format!("-n {metadata} addr add 169.254.169.254/32 dev lo"),
            format!("-n {metadata} addr add fd00:ec2::254/128 dev lo nodad"),
            format!("-n {host} route add 169.254.169.254/32 via 10.77.0.2"),
            format!("-n {host} route add fd00:ec2::254/128 via fd00:77::2"),
        ] {
            assert!(ip(&words(&command)), "ip {command} failed");
        }
        Some(network)
    }

    /// Adds the place for a virtual machine's cable, `tap0`, where
    /// 169.254.169.254 is: one hop away from it.
    pub(crate) fn add_tap(&self) {
        let metadata = self.metadata();
        for command in [
            format!("-n {metadata} tuntap add dev tap0 mode tap"),
            format!("-n {metadata} addr add 10.77.1.1/24 dev tap0"),
            format!("-n {metadata} link set tap0 up"),
        ] {
            assert!(ip(&words(&command)), "ip {command} failed");
        }
    }

    /// Runs `ip route replace` on the host's side.
    pub(crate) fn replace_route(&self, route: &str) {
        let command = format!("-n {} route replace {route}", self.host());
        assert!(ip(&words(&command)), "ip {command} failed");
    }

    /// Packets for `address` leave the host's side and arrive nowhere.
    pub(crate) fn add_neighbour(&self, address: &str) {
        let command = format!(
            "-n {} neigh replace {address} lladdr 02:00:00:00:00:09 dev veth0 nud permanent",
            self.host()
        );
        assert!(ip(&words(&command)), "ip {command} failed");
    }

    /// Gives the host's side a file of `/etc` of its own.
    pub(crate) fn write_etc(&self, name: &str, text: &str) {
        let directory = self.etc();
        fs::create_dir_all(&directory).expect("root may write below /etc/netns");
        fs::write(directory.join(name), text).expect("a file below /etc/netns");
    }

    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(self.host())
    }

    /// Runs `work` on a thread inside the host's namespace.
    pub(crate) fn on_host<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.host(), work)
    }

    /// Runs `work` on a thread where 169.254.169.254 is.
    pub(crate) fn at_metadata<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.metadata(), work)
    }

    /// The name of the host's namespace, for `ip netns exec`.
    pub(crate) fn host(&self) -> String {
        format!("{}-h", self.name)
    }

    fn metadata(&self) -> String {
        format!("{}-m", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.etc());
        for name in [self.host(), self.metadata()] {
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

fn within<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/run/netns/{name}")).expect("the namespace was made");
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            // Of this thread alone, and of those that it starts.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter");
            work()
        });
        inside
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip")
        .args(arguments)
        .output()
        .expect("`ip` is there (apt-get install iproute2)")
        .status
        .success()
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}
