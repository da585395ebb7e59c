//! A small HTTP/1.1 server for doubles: plain threads, and replies that a well
//! behaved server would never give.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a waiting connection looks whether the server is to end.
const TICK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// What stands for bytes that are not HTTP; its method is empty.
    fn unreadable() -> Self {
        Self {
            method: String::new(),
            path: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Told\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
        out.extend(format!("content-length: {}\r\n\r\n", self.body.len()).bytes());
        out.extend(&self.body);
        out
    }
}

/// What the client gets to see.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Response),
    /// The answer, after a while.
    Slow(Duration, Response),
    /// The head and half of the body, then the end.
    Cut(Response),
    /// A TCP reset.
    Reset,
    /// Nothing, until the server ends.
    Hang,
}

/// Serves until it is dropped.
pub(crate) struct Server {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", handler)
    }

    /// In the network namespace of the calling thread.
    pub(crate) fn listen(
        address: &str,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = Arc::new(TcpListener::bind(address).expect("a free port"));
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let handler: Arc<dyn Fn(&Request) -> Reply + Send + Sync> = Arc::new(handler);
        let accepting = std::thread::spawn({
            let (stop, listener) = (Arc::clone(&stop), Arc::clone(&listener));
            move || {
                loop {
                    let accepted = listener.accept();
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok((stream, _)) = accepted else { continue };
                    let (stop, handler) = (Arc::clone(&stop), Arc::clone(&handler));
                    std::thread::spawn(move || serve(stream, &stop, &*handler));
                }
            }
        });
        Self {
            listener,
            address,
            stop,
            accepting: Some(accepting),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, where no connection from here could.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    stop: &AtomicBool,
    handler: &(dyn Fn(&Request) -> Reply + Send + Sync),
) {
    stream.set_read_timeout(Some(TICK)).expect("a time-out");
    let mut received = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut received, stop) {
        let reply = if request.method.is_empty() {
            Reply::Answer(Response::new(400, ""))
        } else {
            handler(&request)
        };
        let sent = match reply {
            Reply::Answer(response) => stream.write_all(&response.to_bytes()),
            Reply::Slow(pause, response) => {
                std::thread::sleep(pause);
                stream.write_all(&response.to_bytes())
            }
            Reply::Cut(response) => {
                let bytes = response.to_bytes();
                let kept = bytes.len() - response.body.len().div_ceil(2).max(1);
                let _ = stream.write_all(&bytes[..kept]);
                return;
            }
            Reply::Reset => {
                // Closing a socket that must not linger resets it.
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                return;
            }
            Reply::Hang => {
                while !stop.load(Ordering::SeqCst) {
                    std::thread::sleep(TICK);
                }
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The next request of the connection, or `None` when there is none to come.
fn read_request(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
    stop: &AtomicBool,
) -> Option<Request> {
    let mut buffer = vec![0; 65536];
    loop {
        if let Some((request, used)) = parse_request(received) {
            received.drain(..used);
            return Some(request);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(n) => received.extend(&buffer[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stop.load(Ordering::SeqCst) {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

fn parse_request(received: &[u8]) -> Option<(Request, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(received) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some((Request::unreadable(), received.len())),
    };
    let mut request = Request {
        method: parsed.method?.to_owned(),
        path: parsed.path?.to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|h| {
                let value = String::from_utf8_lossy(h.value).into_owned();
                (h.name.to_owned(), value)
            })
            .collect(),
        body: Vec::new(),
    };
    let length: usize = request
        .header("content-length")
        .map_or(0, |value| value.parse().expect("a length"));
    let body = received.get(head..head + length)?;
    request.body = body.to_vec();
    Some((request, head + length))
}
