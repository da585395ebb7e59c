//! The least of a metadata service that hands out a role's credentials.

use std::sync::{Arc, Mutex};

use super::http::{Reply, Request, Response, Server};

/// What signs. Put together at run time, so that no scanner takes it for a
/// real one.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "AWS's names, in full")]
pub(crate) struct Key {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
}

impl Key {
    /// A temporary key; another number is another key.
    pub(crate) fn temporary(number: u8) -> Self {
        let letter = char::from(b'A' + number);
        Self {
            access_key_id: format!("ASIA{}", letter.to_string().repeat(16)),
            secret_access_key: format!("{letter}a").repeat(20),
            session_token: format!("session-{letter}").repeat(8),
        }
    }
}

/// A metadata service with a role, or without.
pub(crate) struct RoleService {
    server: Server,
    fetched: Arc<Mutex<usize>>,
}

impl RoleService {
    /// Hands out the keys one after the other, the last one for ever.
    pub(crate) fn start(keys: Vec<Key>) -> Self {
        let fetched = Arc::new(Mutex::new(0));
        let server = Server::start({
            let fetched = Arc::clone(&fetched);
            move |request| answer(request, &keys, &fetched)
        });
        Self { server, fetched }
    }

    pub(crate) fn without_role() -> Self {
        Self::start(Vec::new())
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// How often credentials were fetched.
    pub(crate) fn fetched(&self) -> usize {
        *self.fetched.lock().expect("no thread panicked")
    }
}

fn answer(request: &Request, keys: &[Key], fetched: &Mutex<usize>) -> Reply {
    let listing = "/latest/meta-data/iam/security-credentials/";
    let token = "metadata-session";
    let response = match (request.method.as_str(), request.path.as_str()) {
        ("PUT", "/latest/api/token") => Response::new(200, token).header(
            "x-aws-ec2-metadata-token-ttl-seconds",
            request
                .header("x-aws-ec2-metadata-token-ttl-seconds")
                .expect("a time to live"),
        ),
        ("GET", _) if request.header("x-aws-ec2-metadata-token") != Some(token) => {
            Response::new(401, "")
        }
        ("GET", "/latest/meta-data/placement/region") => Response::new(200, "eu-central-1"),
        ("GET", path) if path == listing && !keys.is_empty() => Response::new(200, "web"),
        ("GET", path) if path.strip_prefix(listing) == Some("web") => {
            let mut fetched = fetched.lock().expect("no thread panicked");
            let key = &keys[(*fetched).min(keys.len() - 1)];
            *fetched += 1;
            let document = serde_json::json!({
                "Code": "Success",
                "LastUpdated": "2026-01-01T00:00:00Z",
                "Type": "AWS-HMAC",
                "AccessKeyId": key.access_key_id,
                "SecretAccessKey": key.secret_access_key,
                "Token": key.session_token,
                "Expiration": "2099-01-01T00:00:00Z",
            });
            Response::new(200, document.to_string())
        }
        _ => Response::new(404, ""),
    };
    Reply::Answer(response)
}
