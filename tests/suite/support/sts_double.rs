//! The least of STS: `GetCallerIdentity`, with a clock and a temper of its own.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use super::http::{Reply, Request, Response, Server};

/// What is said to a key.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Known,
    /// 403 with this error code and message.
    Refused(&'static str, &'static str),
    /// This status, and a page that is not STS's.
    Page(u16),
    Reset,
    Hang,
}

pub(crate) struct StsDouble {
    server: Server,
    calls: Arc<Mutex<Vec<String>>>,
}

impl StsDouble {
    pub(crate) fn start(say: Say) -> Self {
        Self::answering(SignedDuration::ZERO, move |_| say.clone())
    }

    /// Its clock is `ahead` of this host's, and what it says depends on the
    /// access key ID.
    pub(crate) fn answering(
        ahead: SignedDuration,
        say: impl Fn(&str) -> Say + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let server = Server::start({
            let calls = Arc::clone(&calls);
            move |request| {
                let id = signer(request);
                let reply = reply(&say(&id), ahead);
                calls.lock().expect("no thread panicked").push(id);
                reply
            }
        });
        Self { server, calls }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The access key IDs that signed, in the order of their calls.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no thread panicked").clone()
    }
}

fn reply(say: &Say, ahead: SignedDuration) -> Reply {
    let now = Timestamp::now() + ahead;
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let response = match say {
        Say::Known => Response::new(
            200,
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult>\
             <Arn>arn:aws:sts::609629065308:assumed-role/web/i-0123456789abcdef0</Arn>\
             <UserId>AROA:i-0123456789abcdef0</UserId><Account>609629065308</Account>\
             </GetCallerIdentityResult></GetCallerIdentityResponse>",
        ),
        Say::Refused(code, message) => Response::new(
            403,
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
                 <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>0</RequestId></ErrorResponse>"
            ),
        ),
        Say::Page(status) => Response::new(*status, "<html>sign in</html>"),
        Say::Reset => return Reply::Reset,
        Say::Hang => return Reply::Hang,
    };
    Reply::Answer(response.header("date", date))
}

/// `AWS4-HMAC-SHA256 Credential=ID/…`
fn signer(request: &Request) -> String {
    request
        .header("authorization")
        .and_then(|value| value.split_once("Credential=")?.1.split_once('/'))
        .map_or_else(String::new, |(id, _)| id.to_owned())
}
