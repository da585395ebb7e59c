//! A stand-in for the instance metadata service, as kind or as hostile as a
//! test wants it.
//!
//! It keeps IMDS's rules (tokens with a lifetime of 1 to 21,600 seconds, 400
//! for a bad PUT, 401 for a bad token, no PUT through a proxy, the hop limit on
//! the reply to the PUT alone) and adds faults by path. Every request is
//! logged.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

pub(crate) const TOKEN: &str = "/latest/api/token";
pub(crate) const LISTING: &str = "/latest/meta-data/";
pub(crate) const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
pub(crate) const IAM_INFO: &str = "/latest/meta-data/iam/info";
pub(crate) const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
pub(crate) const USER_DATA: &str = "/latest/user-data";
pub(crate) const GROUP: &str = "/latest/meta-data/tags/instance/aws:autoscaling:groupName";
pub(crate) const PARTITION: &str = "/latest/meta-data/services/partition";
pub(crate) const LIFECYCLE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";

const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The TTL of everything but the reply to the PUT.
const USUAL_TTL: u8 = 64;

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

/// The credentials that the double gives out; made here, worth nothing.
#[derive(Debug, Clone)]
pub(crate) struct FakeCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
}

impl FakeCredentials {
    /// Assembled at run time, so that no scanner takes the source for a key.
    fn new() -> Self {
        let spread = |alphabet: &[u8], n: usize| -> String {
            (0..n)
                .map(|i| char::from(alphabet[(i * i * 7 + i * 13 + 5) % alphabet.len()]))
                .collect()
        };
        let letters: Vec<u8> = (b'a'..=b'z')
            .chain(b'A'..=b'Z')
            .chain(b'0'..=b'9')
            .collect();
        Self {
            access_key_id: ["AS", "IA", "Y34FZKBO", "KMUTVV7A"].concat(),
            secret_access_key: spread(&letters, 40),
            session_token: ["IQoJb3Jp", "Z2luX2Vj", &spread(&letters, 300)].concat(),
        }
    }
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
        };
        double = double.item(IDENTITY, identity).item(PARTITION, "aws");
        double.item(LISTING, "ami-id\niam/\ninstance-id\n")
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

    /// Requests without a token are answered: IMDSv1.
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
        let shared = Arc::new(Shared {
            faults: Mutex::new(self.faults.clone()),
            says: Mutex::new(self),
            tokens: Mutex::default(),
            log: Mutex::default(),
            connections: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            credentials: FakeCredentials::new(),
        });
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

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The credentials that the role gives out.
    pub(crate) fn credentials(&self) -> &FakeCredentials {
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

struct Shared {
    says: Mutex<Builder>,
    faults: Mutex<BTreeMap<String, Vec<(Fault, u64)>>>,
    /// Tokens and when they expire.
    tokens: Mutex<BTreeMap<String, Instant>>,
    log: Mutex<Vec<Request>>,
    connections: AtomicU64,
    stopping: AtomicBool,
    credentials: FakeCredentials,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type", "text/plain".into())],
            body: body.into(),
        }
    }

    /// IMDS's error pages are HTML.
    fn error(status: u16) -> Self {
        let page = format!(
            "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>{status}</title>\
             </head><body><h1>{status}</h1></body></html>\n"
        );
        Self {
            status,
            headers: vec![("Content-Type", "text/html".into())],
            body: page.into(),
        }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer)? {
            if self.stopping.load(Ordering::SeqCst) {
                break;
            }
            lock(&self.log).push(request.clone());
            let hops = lock(&self.says).hop_limit;
            if let Some(hops) = hops {
                // The reply to the PUT keeps its TTL when it is sent again,
                // so the usual one comes back with the next request only.
                let ttl = if request.method == "PUT" {
                    hops
                } else {
                    USUAL_TTL
                };
                set_ttl(&stream, ttl)?;
            }
            let close = request
                .header("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            if !self.answer(&mut stream, &request)? || close {
                break;
            }
        }
        Ok(())
    }

    /// Answers; `false` when the connection is of no more use.
    fn answer(&self, stream: &mut TcpStream, request: &Request) -> io::Result<bool> {
        let mut answer = self.right_answer(request);
        let mut length = None;
        match self.next_fault(&request.path) {
            None => {}
            Some(Fault::Delay(delay)) => thread::sleep(delay),
            Some(Fault::Hang) => {
                self.hold();
                return Ok(false);
            }
            Some(Fault::Reset) => {
                rustix::net::sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO))?;
                return Ok(false);
            }
            Some(Fault::CutBody) => {
                length = Some(answer.body.len() as u64);
                answer.body.truncate(answer.body.len() / 2);
                write_answer(stream, &answer, length)?;
                return Ok(false);
            }
            Some(Fault::EndlessBody) => {
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                while !self.stopping.load(Ordering::SeqCst) {
                    stream.write_all(&[b'x'; 4096])?;
                }
                return Ok(false);
            }
            Some(Fault::Drip) => {
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                while !self.stopping.load(Ordering::SeqCst) {
                    stream.write_all(b"x")?;
                    thread::sleep(Duration::from_millis(100));
                }
                return Ok(false);
            }
            Some(Fault::Garbage) => {
                stream.write_all(b"\x16\x03\x01\x00\xff\r\n\r\nSSH-2.0-nothing\r\n\r\n")?;
                return Ok(false);
            }
            Some(Fault::HugeHeaders) => {
                write!(stream, "HTTP/1.1 200 OK\r\nX-Filler: ")?;
                stream.write_all(&vec![b'x'; 1 << 20])?;
                write!(stream, "\r\nContent-Length: 1\r\n\r\nx")?;
                return Ok(false);
            }
            Some(Fault::EndlessHeaders) => {
                write!(stream, "HTTP/1.1 200 OK\r\n")?;
                while !self.stopping.load(Ordering::SeqCst) {
                    write!(stream, "X-Filler: x\r\n")?;
                }
                return Ok(false);
            }
            Some(Fault::ContentLength(bytes)) => length = Some(bytes),
            Some(Fault::Body(body)) => answer = Answer::ok(body),
            Some(Fault::Status(status)) => answer = Answer::error(status),
            Some(Fault::NoTtlHeader) => answer.headers.retain(|(name, _)| *name != TTL_HEADER),
            Some(Fault::Header(name, value)) => answer.headers.push((name, value.into())),
        }
        write_answer(stream, &answer, length)?;
        Ok(length.is_none())
    }

    fn next_fault(&self, path: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let (fault, times) = faults
            .get_mut(path)?
            .iter_mut()
            .find(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(fault.clone())
    }

    fn right_answer(&self, request: &Request) -> Answer {
        let says = lock(&self.says);
        if says.disabled {
            return Answer::error(403);
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", TOKEN) => self.grant(request),
            ("GET", path) => {
                let admitted = match request.header(TOKEN_HEADER) {
                    Some(token) => lock(&self.tokens)
                        .get(token)
                        .is_some_and(|expires| Instant::now() < *expires),
                    None => !says.tokens_required,
                };
                if admitted {
                    self.item(&says, path)
                } else {
                    Answer::error(401)
                }
            }
            _ => Answer::error(405),
        }
    }

    fn grant(&self, request: &Request) -> Answer {
        if request.header("x-forwarded-for").is_some() {
            return Answer::error(403);
        }
        let ttl = request.header(TTL_HEADER).and_then(|ttl| ttl.parse().ok());
        let Some(ttl @ 1..=21_600) = ttl else {
            return Answer::error(400);
        };
        let mut tokens = lock(&self.tokens);
        let token = format!("AQAEA{:051}", tokens.len() * 7919 + 17) + "==";
        tokens.insert(token.clone(), Instant::now() + Duration::from_secs(ttl));
        let mut answer = Answer::ok(token);
        answer.headers.push((TTL_HEADER, ttl.to_string()));
        answer
    }

    fn item(&self, says: &Builder, path: &str) -> Answer {
        if let Some(role) = &says.role {
            // aws-config asks without the slash at the end.
            if path.trim_end_matches('/') == ROLES.trim_end_matches('/') {
                return Answer::ok(role.name.as_str());
            }
            if path.strip_prefix(ROLES) == Some(role.name.as_str()) && !role.absent {
                return Answer::ok(self.credentials_of(role));
            }
        }
        match says.items.get(path) {
            Some(body) => Answer::ok(body.as_slice()),
            None => Answer::error(404),
        }
    }

    fn credentials_of(&self, role: &Role) -> String {
        let now = Timestamp::now();
        let mut body = serde_json::json!({
            "Code": role.code,
            "LastUpdated": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        if role.code == "Success" {
            body["Type"] = "AWS-HMAC".into();
            body["AccessKeyId"] = self.credentials.access_key_id.as_str().into();
            body["SecretAccessKey"] = self.credentials.secret_access_key.as_str().into();
            body["Token"] = self.credentials.session_token.as_str().into();
        } else {
            body["Message"] = "EC2 cannot assume the role.".into();
        }
        if let Some(left) = role.expires_in {
            let expiration = (now + left).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            body["Expiration"] = expiration.into();
        }
        format!("{body:#}")
    }

    /// Until the double stops; nobody waits longer than that.
    fn hold(&self) {
        while !self.stopping.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn set_ttl(stream: &TcpStream, ttl: u8) -> io::Result<()> {
    if stream.local_addr()?.is_ipv4() {
        stream.set_ttl(u32::from(ttl))
    } else {
        Ok(rustix::net::sockopt::set_ipv6_unicast_hops(
            stream.as_fd(),
            Some(ttl),
        )?)
    }
}

/// The next request; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let bad = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if let httparse::Status::Complete(head) = parsed.parse(buffer).map_err(bad)? {
            let headers: Vec<_> = parsed
                .headers
                .iter()
                .map(|header| {
                    let value = String::from_utf8_lossy(header.value).into_owned();
                    (header.name.to_owned(), value)
                })
                .collect();
            let mut request = Request {
                method: parsed.method.unwrap_or_default().to_owned(),
                path: parsed.path.unwrap_or_default().to_owned(),
                headers,
                with_token: false,
            };
            request.with_token = request.header(TOKEN_HEADER).is_some();
            // Nobody sends IMDS a body.
            buffer.drain(..head);
            return Ok(Some(request));
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

fn write_answer(stream: &mut TcpStream, answer: &Answer, length: Option<u64>) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Answer\r\nServer: EC2ws\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = length.unwrap_or(answer.body.len() as u64);
    head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
    stream.write_all(&[head.as_bytes(), &answer.body].concat())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
