//! A stand-in for the instance metadata service, as kind or as hostile as a
//! test wants it.
//!
//! It keeps IMDS's rules (tokens with a lifetime of 1 to 21,600 seconds, 400
//! for a bad PUT, 401 for a bad token, no PUT through a proxy, the hop limit on
//! the reply to the PUT alone) and adds faults by path. Every request is
//! logged.

mod server;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;

use super::role::Key;
use server::{Shared, lock};

pub(crate) const TOKEN: &str = "/latest/api/token";
pub(crate) const LISTING: &str = "/latest/meta-data/";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
pub(crate) const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
pub(crate) const IAM_INFO: &str = "/latest/meta-data/iam/info";
pub(crate) const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
pub(crate) const USER_DATA: &str = "/latest/user-data";
pub(crate) const GROUP: &str = "/latest/meta-data/tags/instance/aws:autoscaling:groupName";
pub(crate) const PARTITION: &str = "/latest/meta-data/services/partition";
pub(crate) const LIFECYCLE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";

/// What goes wrong with the answer to a path.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The right answer, this much later.
    Delay(Duration),
    /// The request is read and never answered.
    Hang,
    /// The connection is reset.
    Reset,
    /// Half of the body, then the end.
    CutBody,
    /// A body that is never over, as fast as it is taken.
    EndlessBody,
    /// A body of one byte a tenth of a second, never over.
    Drip,
    /// Bytes that are no HTTP.
    Garbage,
    /// A head of a mebibyte.
    HugeHeaders,
    /// A status line and headers that never end.
    EndlessHeaders,
    /// A `Content-Length` of this many bytes, whatever the body has.
    ContentLength(u64),
    /// 200 with this body.
    Body(Vec<u8>),
    /// This status, with an error page as IMDS gives it.
    Status(u16),
    /// The right answer without the token's lifetime.
    NoTtlHeader,
    /// This header added to the right answer.
    Header(&'static str, &'static str),
}

/// What the double says of the role's credentials.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    name: String,
    code: String,
    expires_in: Option<SignedDuration>,
    absent: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Whether it carried a token, valid or not.
    pub(crate) with_token: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Says what the double is to be; [`Builder::start`] makes it so. Without any
/// call: tokens required, no role, hop limit 1.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    address: SocketAddr,
    disabled: bool,
    tokens_required: bool,
    hop_limit: Option<u8>,
    role: Option<Role>,
    items: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, Vec<(Fault, u64)>>,
    credentials: Key,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let identity = r#"{
  "accountId" : "609629065308",
  "architecture" : "x86_64",
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "i-0123456789abcdef0",
  "pendingTime" : "2026-03-01T10:00:00Z",
  "region" : "eu-central-1"
}"#;
        let mut double = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            disabled: false,
            tokens_required: true,
            hop_limit: Some(1),
            role: None,
            items: BTreeMap::new(),
            faults: BTreeMap::new(),
            credentials: Key::temporary(0),
        };
        double = double.item(IDENTITY, identity).item(PARTITION, "aws");
        double.item(INSTANCE_ID, "i-0123456789abcdef0")
    }

    /// Another instance of the same image.
    pub(crate) fn instance(self, id: &str) -> Self {
        let known = String::from_utf8(self.items[INSTANCE_ID].clone()).unwrap();
        let identity = String::from_utf8(self.items[IDENTITY].clone()).unwrap();
        let identity = identity.replace(&known, id);
        self.item(IDENTITY, identity).item(INSTANCE_ID, id)
    }

    /// The credentials that the role gives out, in place of made-up ones.
    pub(crate) fn credentials(mut self, key: Key) -> Self {
        self.credentials = key;
        self
    }

    /// Where to listen; a free port of 127.0.0.1 otherwise.
    pub(crate) fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// 403 for everything.
    pub(crate) fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Requests without a token are answered: version 1.
    pub(crate) fn tokens_optional(mut self) -> Self {
        self.tokens_required = false;
        self
    }

    /// The IP TTL of the reply to the PUT; `None` leaves it to the kernel.
    pub(crate) fn hop_limit(mut self, hops: impl Into<Option<u8>>) -> Self {
        self.hop_limit = hops.into();
        self
    }

    /// An instance profile with a role and credentials valid for six hours.
    pub(crate) fn role(self, name: &str) -> Self {
        self.role_with(name, "Success", Some(SignedDuration::from_hours(6)))
    }

    /// A role whose credentials have this code and lifetime.
    pub(crate) fn role_with(
        mut self,
        name: &str,
        code: &str,
        expires_in: Option<SignedDuration>,
    ) -> Self {
        self.role = Some(Role {
            name: name.into(),
            code: code.into(),
            expires_in,
            absent: false,
        });
        self.info("Success", name)
    }

    /// A role that is named and has no credentials.
    pub(crate) fn role_without_credentials(self, name: &str) -> Self {
        let mut double = self.role(name);
        double.role = double.role.map(|role| Role {
            absent: true,
            ..role
        });
        double
    }

    /// An instance profile whose role is gone.
    pub(crate) fn profile_without_role(self, name: &str) -> Self {
        self.info("InstanceProfileNotFound", name)
    }

    fn info(self, code: &str, profile: &str) -> Self {
        let body = serde_json::json!({
            "Code": code,
            "LastUpdated": "2026-03-01T10:00:00Z",
            "InstanceProfileArn":
                format!("arn:aws:iam::609629065308:instance-profile/{profile}"),
            "InstanceProfileId": "n/a",
        });
        self.item(IAM_INFO, body.to_string())
    }

    pub(crate) fn auto_scaling_group(self, name: &str) -> Self {
        self.item(GROUP, name).item(LIFECYCLE, "InService")
    }

    pub(crate) fn user_data(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.item(USER_DATA, bytes)
    }

    /// Any other item.
    pub(crate) fn item(mut self, path: &str, body: impl Into<Vec<u8>>) -> Self {
        self.items.insert(path.into(), body.into());
        self
    }

    /// Every answer to `path` goes wrong.
    pub(crate) fn fault(self, path: &str, fault: Fault) -> Self {
        self.fault_times(path, fault, u64::MAX)
    }

    /// The first `times` answers to `path` go wrong, then the next fault or
    /// none.
    pub(crate) fn fault_times(mut self, path: &str, fault: Fault, times: u64) -> Self {
        self.faults
            .entry(path.into())
            .or_default()
            .push((fault, times));
        self
    }

    /// Listens, in the network namespace of the calling thread.
    pub(crate) fn start(self) -> ImdsDouble {
        let listener = TcpListener::bind(self.address).expect("the double's address is free");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared::new(self));
        let acceptor = Arc::clone(&shared);
        // Polled, because waking it would take a connection to an address that
        // only its own network namespace may use.
        listener
            .set_nonblocking(true)
            .expect("a listener can be polled");
        thread::spawn(move || {
            while !acceptor.stopping.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                acceptor.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&acceptor);
                // A client that went away is no failure of the double.
                thread::spawn(move || shared.serve(stream).ok());
            }
        });
        ImdsDouble { address, shared }
    }
}

/// A running double; stops when it is dropped.
pub(crate) struct ImdsDouble {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl ImdsDouble {
    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The credentials that the role gives out.
    pub(crate) fn credentials(&self) -> &Key {
        &self.shared.credentials
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).clone()
    }

    /// How many requests asked for `path`.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        lock(&self.shared.log)
            .iter()
            .filter(|request| request.method == method && request.path == path)
            .count()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Every token given so far is refused from now on.
    pub(crate) fn expire_tokens(&self) {
        lock(&self.shared.tokens).clear();
    }

    /// Becomes another instance: what `change` makes of what it says now.
    /// Faults start anew.
    pub(crate) fn change(&self, change: impl FnOnce(Builder) -> Builder) {
        let mut says = lock(&self.shared.says);
        *says = change(says.clone());
        (*lock(&self.shared.faults)).clone_from(&says.faults);
    }
}

impl Drop for ImdsDouble {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
    }
}
