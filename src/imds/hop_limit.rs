//! Measures how far a token travels.
//!
//! The hop limit of an instance is the IP TTL of the packets that answer the
//! PUT for a token, and of nothing else. A socket can refuse packets below a
//! given TTL (`IP_MINTTL`, on IPv6 `IPV6_MINHOPCOUNT`), which needs no rights:
//! with a minimum of 2 an answer sent with a TTL of 1 never arrives. The
//! minimum is set once the connection stands, because it would hit the
//! handshake too. Source: ip(7), and IMDS's documentation of
//! `HttpPutResponseHopLimit`.
//!
//! Silence is the signal here, so a minimum of 1, which refuses nothing, must
//! be answered before and after.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long an answer may take until it counts as dropped.
const PATIENCE: Duration = Duration::from_millis(400);

/// The same for a service that turned out to be slow.
const LONG_PATIENCE: Duration = Duration::from_millis(1500);

/// Silence means something only where an answer would have come far sooner:
/// the control's time, times this, within the patience.
const MARGIN: u32 = 4;

/// The same for a service that turned out to be slow.
const LONG_MARGIN: u32 = 2;

/// How many hops a token travels, as seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopLimit {
    One,
    Two,
    ThreeOrMore,
    /// It could not be told, for this reason.
    Unknown(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    Answered,
    Silent,
    /// No token was given, so the answer's TTL says nothing.
    Odd,
}

pub(super) async fn measure(base: &Url) -> HopLimit {
    let (mut control, mut two, mut three, mut took) = round(base, PATIENCE).await;
    let slow = control == Probe::Silent || took * MARGIN > PATIENCE;
    if slow && [control, two, three].contains(&Probe::Silent) {
        (control, two, three, took) = round(base, LONG_PATIENCE).await;
        let silent = [two, three].contains(&Probe::Silent);
        if control == Probe::Answered && silent && took * LONG_MARGIN > LONG_PATIENCE {
            return HopLimit::Unknown("the service answers too slowly");
        }
    }
    let limit = match (control, two, three) {
        (Probe::Answered, Probe::Silent, Probe::Silent) => HopLimit::One,
        (Probe::Answered, Probe::Answered, Probe::Silent) => HopLimit::Two,
        (Probe::Answered, Probe::Answered, Probe::Answered) => HopLimit::ThreeOrMore,
        (Probe::Silent, ..) => HopLimit::Unknown("the control was not answered"),
        (Probe::Answered, Probe::Silent, Probe::Answered) => {
            HopLimit::Unknown("the answers contradict each other")
        }
        _ => HopLimit::Unknown("not every request for a token was granted"),
    };
    if limit == HopLimit::ThreeOrMore || matches!(limit, HopLimit::Unknown(_)) {
        return limit;
    }
    let patience = if slow { LONG_PATIENCE } else { PATIENCE };
    match probe(base, 1, patience).await {
        Probe::Answered => limit,
        _ => HopLimit::Unknown("the service stopped answering while it was measured"),
    }
}

/// All three at once, and how long the control took.
async fn round(base: &Url, patience: Duration) -> (Probe, Probe, Probe, Duration) {
    let started = Instant::now();
    let control = async {
        let answer = probe(base, 1, patience).await;
        (answer, started.elapsed())
    };
    let ((control, took), two, three) =
        tokio::join!(control, probe(base, 2, patience), probe(base, 3, patience));
    (control, two, three, took)
}

async fn probe(base: &Url, minimum: u8, patience: Duration) -> Probe {
    match timeout(patience, ask(base, minimum)).await {
        Ok(Ok(true)) => Probe::Answered,
        Ok(Ok(false) | Err(_)) => Probe::Odd,
        Err(_) => Probe::Silent,
    }
}

/// Whether a token was granted to a request that takes no packet with a TTL
/// below `minimum`. Waits without end where it is not answered.
async fn ask(base: &Url, minimum: u8) -> io::Result<bool> {
    let host = base.host_str().unwrap_or_default();
    let port = base.port_or_known_default().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    refuse_below(&stream, minimum)?;
    // A reset on closing spares the service from sending again for minutes
    // what this socket refuses.
    stream.set_zero_linger()?;

    let request = format!(
        "PUT {}{} HTTP/1.1\r\nHost: {host}:{port}\r\n{}: 60\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
        base.path().trim_end_matches('/'),
        super::TOKEN_PATH,
        super::TOKEN_TTL_HEADER,
    );
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }

    // The status line alone: the token behind it is not wanted.
    let mut head = [0; b"HTTP/1.1 200".len()];
    let mut filled = 0;
    while filled < head.len() {
        stream.readable().await?;
        match stream.try_read(&mut head[filled..]) {
            Ok(0) => return Ok(false),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head.starts_with(b"HTTP/1.") && head.ends_with(b" 200"))
}

fn refuse_below(stream: &TcpStream, minimum: u8) -> io::Result<()> {
    let (level, option) = match stream.peer_addr()? {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set_option(stream, level, option, i32::from(minimum))
}

/// Neither std nor rustix nor socket2 has a safe form of these two options.
#[allow(unsafe_code)]
fn set_option(stream: &TcpStream, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `stream` is borrowed; the
    // kernel reads `size_of::<c_int>()` bytes from `value`, a live c_int, and
    // keeps no pointer.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
