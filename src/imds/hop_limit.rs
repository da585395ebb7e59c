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
//! Silence is the signal here, and silence has many causes, so it has to be
//! proved. A minimum of 1, which refuses nothing, must be answered, and far
//! sooner than silence is concluded. Then the minimum of the silent socket is
//! lowered: an answer that was refused is sent again, as TCP does, and now it
//! arrives. Where it does not, everything must come out the same twice.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// How a round of probes waits.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How long an answer may take until it counts as refused.
    patience: Duration,
    /// How long a refused answer may then take to come again. TCP doubles its
    /// pauses: 0.2 s, 0.6 s and 1.4 s after the first time.
    grace: Duration,
    /// Silence means something only where the control was answered this many
    /// times faster than `patience`.
    margin: u32,
}

const BRISK: Pace = Pace {
    patience: Duration::from_millis(250),
    grace: Duration::from_millis(450),
    margin: 4,
};

/// For a service that turned out to be slow.
const SLOW: Pace = Pace {
    patience: Duration::from_millis(1100),
    grace: Duration::from_millis(1100),
    margin: 2,
};

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
    /// Answered, and the answer arrived only once the minimum was lowered.
    Refused,
    Silent,
    /// No token was given, so the TTL of the answer says nothing.
    Odd,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    /// With a minimum of 1, 2 and 3.
    probes: [Probe; 3],
    /// How long the control took.
    took: Duration,
}

/// What the limit is when a request for a token is turned down.
const TURNED_DOWN: HopLimit = HopLimit::Unknown("not every request for a token was granted");

/// After which a throttle or a reset may be over.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn measure(base: &Url) -> HopLimit {
    match measure_once(base).await {
        TURNED_DOWN => {
            tokio::time::sleep(PAUSE).await;
            measure_once(base).await
        }
        limit => limit,
    }
}

async fn measure_once(base: &Url) -> HopLimit {
    let mut pace = BRISK;
    let mut first = Round::run(base, pace).await;
    if first.is_too_slow_for(pace) {
        pace = SLOW;
        first = Round::run(base, pace).await;
        if first.is_too_slow_for(pace) {
            return HopLimit::Unknown("the service answers too slowly");
        }
    }
    let limit = first.judge();
    if !first.probes.contains(&Probe::Silent) || matches!(limit, HopLimit::Unknown(_)) {
        return limit;
    }
    let pace = Pace {
        grace: Duration::ZERO,
        ..pace
    };
    let second = Round::run(base, pace).await;
    let control = probe(base, 1, pace).await;
    if second.judge() == limit && control == Probe::Answered && !second.is_too_slow_for(pace) {
        limit
    } else {
        HopLimit::Unknown("the service stopped answering while it was measured")
    }
}

impl Round {
    /// All three at once.
    async fn run(base: &Url, pace: Pace) -> Self {
        let started = Instant::now();
        let control = async {
            let answer = probe(base, 1, pace).await;
            (answer, started.elapsed())
        };
        let ((one, took), two, three) =
            tokio::join!(control, probe(base, 2, pace), probe(base, 3, pace));
        Self {
            probes: [one, two, three],
            took,
        }
    }

    /// Whether an answer that did not come may only have been late.
    fn is_too_slow_for(&self, pace: Pace) -> bool {
        self.probes != [Probe::Answered; 3]
            && !self.probes.contains(&Probe::Odd)
            && self.took * pace.margin > pace.patience
    }

    fn judge(&self) -> HopLimit {
        use Probe::{Answered, Odd, Refused, Silent};
        match self.probes {
            [Answered, Answered, Answered] => HopLimit::ThreeOrMore,
            [Answered, Answered, Refused | Silent] => HopLimit::Two,
            [Answered, Refused | Silent, Refused | Silent] => HopLimit::One,
            probes if probes.contains(&Odd) => TURNED_DOWN,
            [Silent | Refused, ..] => HopLimit::Unknown("the control was not answered"),
            _ => HopLimit::Unknown("the answers contradict each other"),
        }
    }
}

async fn probe(base: &Url, minimum: u8, pace: Pace) -> Probe {
    let silent_from = Instant::now() + pace.patience;
    // Not even a connection: that is nothing that a TTL of the answer does.
    let Ok(Ok(mut question)) = timeout_at(silent_from, Question::ask(base, minimum)).await else {
        return Probe::Odd;
    };
    match timeout_at(silent_from, question.is_granted()).await {
        Ok(Ok(true)) => return Probe::Answered,
        Ok(Ok(false) | Err(_)) => return Probe::Odd,
        Err(_) => {}
    }
    if refuse_below(&question.stream, 1).is_err() {
        return Probe::Silent;
    }
    match timeout(pace.grace, question.is_granted()).await {
        Ok(Ok(true)) => Probe::Refused,
        _ => Probe::Silent,
    }
}

/// A request for a token that is on its way.
struct Question {
    stream: TcpStream,
    /// The status line alone: the token behind it is not wanted.
    head: [u8; b"HTTP/1.1 200".len()],
    filled: usize,
}

impl Question {
    /// Asks, over a socket that takes no packet with a TTL below `minimum`.
    async fn ask(base: &Url, minimum: u8) -> io::Result<Self> {
        let host = base.host_str().unwrap_or_default();
        let port = base.port_or_known_default().unwrap_or(80);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        refuse_below(&stream, minimum)?;
        // A reset on closing spares the service from sending again for
        // minutes what this socket refuses.
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
        Ok(Self {
            stream,
            head: [0; _],
            filled: 0,
        })
    }

    /// Whether a token is granted. Waits without end where nothing arrives,
    /// and can be asked again after it was given up.
    async fn is_granted(&mut self) -> io::Result<bool> {
        while self.filled < self.head.len() {
            self.stream.readable().await?;
            match self.stream.try_read(&mut self.head[self.filled..]) {
                Ok(0) => return Ok(false),
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.head.starts_with(b"HTTP/1.") && self.head.ends_with(b" 200"))
    }
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
