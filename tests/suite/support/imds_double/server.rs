//! The serving side of the double: HTTP/1.1 by hand, since half of the faults
//! are things that no HTTP library would send.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Builder, Fault, Key, ROLES, Request, Role, TOKEN};

const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The TTL of everything but the reply to the PUT.
const USUAL_TTL: u8 = 64;

pub(super) struct Shared {
    pub(super) says: Mutex<Builder>,
    pub(super) faults: Mutex<BTreeMap<String, Vec<(Fault, u64)>>>,
    /// Tokens and when they expire.
    pub(super) tokens: Mutex<BTreeMap<String, Instant>>,
    pub(super) log: Mutex<Vec<Request>>,
    pub(super) connections: AtomicU64,
    pub(super) stopping: AtomicBool,
    pub(super) credentials: Key,
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
    pub(super) fn new(says: Builder) -> Self {
        Self {
            faults: Mutex::new(says.faults.clone()),
            tokens: Mutex::default(),
            log: Mutex::default(),
            connections: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            credentials: says.credentials.clone(),
            says: Mutex::new(says),
        }
    }

    pub(super) fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
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
        let path = &latest(path);
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
            None => listing(says, path).map_or_else(|| Answer::error(404), Answer::ok),
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

/// The path of today's version: others are named by their date.
fn latest(path: &str) -> String {
    let mut parts = path.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(""), Some(version), Some(rest)) if version.parse::<Date>().is_ok() => {
            format!("/latest/{rest}")
        }
        _ => path.to_owned(),
    }
}

/// The names in a folder, one a line.
fn listing(says: &Builder, folder: &str) -> Option<String> {
    let folder = format!("{}/", folder.trim_end_matches('/'));
    let paths = says
        .items
        .keys()
        .filter_map(|path| path.strip_prefix(&folder));
    let names: BTreeSet<&str> = paths
        .filter_map(|path| path.split_inclusive('/').next())
        .collect();
    (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n"))
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
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let length = length.unwrap_or(answer.body.len() as u64);
    let _ = write!(head, "Content-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &answer.body].concat())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
