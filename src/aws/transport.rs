//! HTTP clients that take nothing from the environment: neither a proxy nor,
//! where one is configured, a trust store.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

use crate::sanitize;
use crate::secret::Secret;

/// Connecting, which includes the name, the proxy's tunnel and the TLS
/// handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bundle of certificates is small; a device or a log file is not.
const MAX_CA_BUNDLE_BYTES: u64 = 16 * 1024 * 1024;

/// Most of a chain of causes that is worth reading.
const MAX_CAUSE_CHARS: usize = 300;

/// How the HTTP client tells of a 407 to its CONNECT; its type is private.
pub(super) const PROXY_DENIED: &str = "proxy authorization required";
/// The same of any other status than 200, which it keeps to itself.
pub(super) const PROXY_REFUSED: &str = "tunnel error: unsuccessful";

/// How AWS services are reached. The metadata service never is this way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// A URL, with a user name and password where it needs them.
    pub proxy: Option<Secret>,
    /// PEM; in place of the system's certificates.
    pub ca_bundle: Option<PathBuf>,
    /// Take the endpoints with validated cryptography.
    pub fips: bool,
    /// Take the endpoints with an IPv6 address.
    pub dual_stack: bool,
}

impl Network {
    fn proxy(&self) -> Option<&str> {
        self.proxy
            .as_ref()
            .and_then(Secret::expose_str)
            .filter(|url| !url.is_empty())
    }

    /// Whether to ask the SDK for a FIPS and for a dual-stack endpoint. A URL
    /// is taken as it is: it may well be that of a FIPS endpoint in a VPC.
    pub(crate) const fn variants(&self, url: Option<&String>) -> (Option<bool>, Option<bool>) {
        let public = url.is_none();
        (Some(public && self.fips), Some(public && self.dual_stack))
    }
}

/// What keeps a client from being made; nothing was sent.
#[derive(Debug, Error)]
pub(crate) enum TransportError {
    #[error("ship.ca_bundle {path} cannot be read: {source}")]
    ReadCaBundle { path: String, source: io::Error },
    #[error("ship.ca_bundle {path} is larger than 16 MiB")]
    CaBundleTooLarge { path: String },
    #[error("ship.ca_bundle {path} holds no certificate in PEM form that can be trusted")]
    ParseCaBundle { path: String },
    #[error("{key} is not a URL of the form https://HOST")]
    Endpoint { key: &'static str },
    // What it says is not repeated: a password may stand in it.
    #[error("ship.proxy is not a URL of the form http://HOST:PORT")]
    Proxy,
}

/// For the metadata service: no proxy, and no certificates, which plain HTTP
/// does not need.
pub(super) fn plain() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(trusting(TrustStore::empty()))
        .build_https()
}

/// For a service at `endpoint`, or at its public one: through the network's
/// proxy if there is one, trusting its bundle or else the system's
/// certificates.
pub(crate) fn client(
    network: &Network,
    endpoint: Option<&str>,
) -> Result<SharedHttpClient, TransportError> {
    let trust_store = match &network.ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(read_ca_bundle(path)?),
        None if needs_no_tls(network, endpoint) => TrustStore::empty(),
        None => TrustStore::default(),
    };
    let proxy = match network.proxy() {
        // The client would panic later on what it cannot parse now.
        Some(url) => ProxyConfig::all(url).map_err(|_| TransportError::Proxy)?,
        None => ProxyConfig::disabled(),
    };
    let timeouts = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    // One connector for all calls, so that they share its connections; what
    // remains of a call's time is bounded by the caller.
    let connector = SharedHttpConnector::new(
        Connector::builder()
            .connector_settings(timeouts)
            .proxy_config(proxy)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(trusting(trust_store))
            .build(),
    );
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// The endpoint that `key` of the configuration gives, if it is set. The SDK
/// panics on some text that is none.
pub(crate) fn endpoint(
    key: &'static str,
    url: Option<&String>,
) -> Result<Option<String>, TransportError> {
    let Some(url) = non_empty(url) else {
        return Ok(None);
    };
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && url.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(url.clone()))
        }
        _ => Err(TransportError::Endpoint { key }),
    }
}

/// Configuration writes "not set" as an empty string.
pub(crate) fn non_empty(value: Option<&String>) -> Option<&String> {
    value.filter(|value| !value.is_empty())
}

/// The errors of a chain, outermost first, without repetition, in one safe
/// line.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for error in chain(error) {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    shortened(&parts.join(": "))
}

/// One safe line of bounded length.
pub(crate) fn shortened(text: &str) -> String {
    let short: String = text.trim().chars().take(MAX_CAUSE_CHARS).collect();
    sanitize::line(&short).into_owned()
}

/// Whether the peer was refused because of its certificate or its TLS.
pub(super) fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(<dyn Error>::is::<rustls::Error>)
}

/// An error and its causes. The cause of an `io::Error` is its payload, which
/// `source` steps over.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn needs_no_tls(network: &Network, endpoint: Option<&str>) -> bool {
    let plain = |url: &str| url.starts_with("http://");
    endpoint.is_some_and(plain) && network.proxy().is_none_or(plain)
}

fn trusting(trust_store: TrustStore) -> TlsContext {
    TlsContext::builder()
        .with_trust_store(trust_store)
        .build()
        .unwrap_or_default()
}

/// The bundle, once it is known that the HTTP client can take it: it panics
/// on a certificate that it cannot parse.
fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, TransportError> {
    let name = || sanitize::line(&path.to_string_lossy()).into_owned();
    let read_error = |source| TransportError::ReadCaBundle {
        path: name(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(read_error)?;
    if !metadata.is_file() {
        return Err(read_error(io::Error::other("not a regular file")));
    }
    if metadata.len() > MAX_CA_BUNDLE_BYTES {
        return Err(TransportError::CaBundleTooLarge { path: name() });
    }
    let pem = std::fs::read(path).map_err(read_error)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate
            .ok()
            .and_then(|certificate| roots.add(certificate).ok())
            .ok_or_else(|| TransportError::ParseCaBundle { path: name() })?;
    }
    if roots.is_empty() {
        return Err(TransportError::ParseCaBundle { path: name() });
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: Option<&str> = Some("http://127.0.0.1:1");

    #[test]
    fn a_bad_proxy_is_an_error_that_does_not_repeat_its_password() {
        for proxy in [
            "not a url",
            "user:hidden-word@host",
            "ftp://user:hidden-word@host",
        ] {
            let network = Network {
                proxy: Some(Secret::new(proxy)),
                ..Network::default()
            };
            let error = client(&network, ENDPOINT).expect_err("no proxy");
            let error = error.to_string();
            assert!(error.contains("ship.proxy") && !error.contains("hidden-word"));
        }
    }

    #[test]
    fn a_bundle_that_is_none_is_an_error_and_not_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let armour = |body: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        };
        for path in [
            PathBuf::from("/nonexistent/ca.pem"),
            directory.path().to_owned(),
            file("empty", ""),
            file("base64", &armour("!!!!")),
            file("der", &armour("AAAA")),
        ] {
            let network = Network {
                ca_bundle: Some(path),
                ..Network::default()
            };
            let error = client(&network, ENDPOINT).expect_err("no bundle");
            let error = error.to_string();
            assert!(error.contains("ship.ca_bundle"), "{error}");
        }
    }

    #[test]
    fn causes_are_one_safe_line() {
        let error = io::Error::other(io::Error::other("a\u{1b}[1mb"));
        assert_eq!(causes(&error), "a\\x1b[1mb");
    }
}
