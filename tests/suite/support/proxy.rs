//! An HTTP proxy that tunnels (`CONNECT`), and knows one host only.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Serves as long as the test runs.
pub(crate) struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    tunnels: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// Leads every tunnel to `target`, whatever name is asked for, if the
    /// password is the one of `user`.
    pub(crate) fn start(target: SocketAddr, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tunnels = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        std::thread::spawn({
            let (asked, tunnels) = (Arc::clone(&asked), Arc::clone(&tunnels));
            move || {
                for stream in listener.incoming().flatten() {
                    let (asked, tunnels) = (Arc::clone(&asked), Arc::clone(&tunnels));
                    let expected = expected.clone();
                    std::thread::spawn(move || tunnel(stream, target, &expected, &asked, &tunnels));
                }
            }
        });
        Self {
            address,
            asked,
            tunnels,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The hosts and ports for which a tunnel was asked, made or not.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panicked").clone()
    }

    /// The hosts and ports for which a tunnel was made.
    pub(crate) fn tunnels(&self) -> Vec<String> {
        self.tunnels.lock().expect("no thread panicked").clone()
    }
}

fn tunnel(
    mut client: TcpStream,
    target: SocketAddr,
    expected: &str,
    asked: &Mutex<Vec<String>>,
    tunnels: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut lines = BufReader::new(client.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    let host = request.strip_prefix("CONNECT ")?.split(' ').next()?;
    asked
        .lock()
        .expect("no thread panicked")
        .push(host.to_owned());
    let mut authorization = String::new();
    for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            value.clone_into(&mut authorization);
        }
    }
    if authorization != expected {
        let refusal = "HTTP/1.1 407 No\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
        return client.write_all(refusal.as_bytes()).ok();
    }
    tunnels
        .lock()
        .expect("no thread panicked")
        .push(host.to_owned());
    let mut server = TcpStream::connect(target).ok()?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    std::io::copy(&mut server, &mut client).ok().map(drop)
}
