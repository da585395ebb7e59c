//! HTTP clients that take nothing from the environment: neither a proxy nor,
//! where one is configured, a trust store.

use std::error::Error;
use std::io;
use std::path::Path;
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

use super::Settings;
use crate::sanitize;

/// Connecting, which includes the name, the proxy's tunnel and the TLS
/// handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bundle of certificates is small; a device or a log file is not.
const MAX_CA_BUNDLE_BYTES: u64 = 16 * 1024 * 1024;

/// Most of a chain of causes that is worth reading.
const MAX_CAUSE_CHARS: usize = 300;

/// How the HTTP client tells of a 407 to its CONNECT; its type is private.
pub(super) const PROXY_DENIED: &str = "proxy authorization required";

#[derive(Debug, Error)]
pub(super) enum TransportError {
    #[error("ship.ca_bundle {path} cannot be read: {source}")]
    ReadCaBundle { path: String, source: io::Error },
    #[error("ship.ca_bundle {path} is larger than 16 MiB")]
    CaBundleTooLarge { path: String },
    #[error("ship.ca_bundle {path} holds no certificate in PEM form that can be trusted")]
    ParseCaBundle { path: String },
    #[error("ship.endpoint is not a URL of the form https://HOST")]
    Endpoint,
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

/// For CloudWatch Logs: through the proxy of the settings if there is one,
/// trusting the bundle of the settings or else the system's certificates.
pub(super) fn to_logs(settings: &Settings) -> Result<SharedHttpClient, TransportError> {
    let trust_store = match &settings.ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(read_ca_bundle(path)?),
        None if needs_no_tls(settings) => TrustStore::empty(),
        None => TrustStore::default(),
    };
    let proxy = match non_empty(settings.proxy.as_ref()) {
        // The client would panic later on what it cannot parse now.
        Some(url) => ProxyConfig::all(url.as_str()).map_err(|_| TransportError::Proxy)?,
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

/// The endpoint of the settings, if one is set. The SDK panics on some text
/// that is none.
pub(super) fn endpoint(settings: &Settings) -> Result<Option<String>, TransportError> {
    let Some(url) = non_empty(settings.endpoint.as_ref()) else {
        return Ok(None);
    };
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && url.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(url.clone()))
        }
        _ => Err(TransportError::Endpoint),
    }
}

/// Configuration writes "not set" as an empty string.
pub(super) fn non_empty(value: Option<&String>) -> Option<&String> {
    value.filter(|value| !value.is_empty())
}

/// The errors of a chain, outermost first, without repetition, in one safe
/// line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
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
pub(super) fn shortened(text: &str) -> String {
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

fn needs_no_tls(settings: &Settings) -> bool {
    let plain = |url: &String| url.starts_with("http://");
    non_empty(settings.endpoint.as_ref()).is_some_and(plain)
        && non_empty(settings.proxy.as_ref()).is_none_or(plain)
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
    use std::path::PathBuf;

    use super::*;

    fn settings() -> Settings {
        Settings {
            log_group: "/rolecall".into(),
            log_stream: "i-0".into(),
            region: None,
            endpoint: Some("http://127.0.0.1:1".into()),
            imds_endpoint: String::new(),
            proxy: None,
            ca_bundle: None,
        }
    }

    #[test]
    fn a_bad_proxy_is_an_error_that_does_not_repeat_its_password() {
        for proxy in [
            "not a url",
            "user:hidden-word@host",
            "ftp://user:hidden-word@host",
        ] {
            let settings = Settings {
                proxy: Some(proxy.into()),
                ..settings()
            };
            let error = to_logs(&settings).expect_err("no proxy").to_string();
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
            let settings = Settings {
                ca_bundle: Some(path),
                ..settings()
            };
            let error = to_logs(&settings).expect_err("no bundle").to_string();
            assert!(error.contains("ship.ca_bundle"), "{error}");
        }
    }

    #[test]
    fn causes_are_one_safe_line() {
        let error = io::Error::other(io::Error::other("a\u{1b}[1mb"));
        assert_eq!(causes(&error), "a\\x1b[1mb");
    }
}
