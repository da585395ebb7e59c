//! Endpoints: `http` and `https` URLs that requests are built on.
//!
//! Only what an endpoint needs is accepted. A user name or password in one
//! is refused, and then no part of it is shown: rolecall's own configuration
//! is not the place for a static credential.

use super::error::{Invalid, quote};

/// The endpoint without the slashes at its end.
pub(super) fn read_endpoint(text: &str) -> Result<String, Invalid> {
    if text.contains('@') {
        return Err(Invalid::new(
            "an endpoint must not hold a user name or password",
        ));
    }
    let refused = |why: &str| {
        Invalid::new(format!(
            "{} is not an http or https URL: {why}",
            quote(text)
        ))
    };
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| refused("it does not begin with http:// or https://"))?;
    if !["http", "https"].contains(&scheme) {
        return Err(refused("it does not begin with http:// or https://"));
    }
    if rest.contains(['?', '#']) {
        return Err(refused("it has a query or a fragment"));
    }
    if !rest.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(refused("it has spaces or characters that are not ASCII"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = split_port(authority).ok_or_else(|| refused("its host is malformed"))?;
    if !is_host(host) {
        return Err(refused("its host is missing or malformed"));
    }
    if port.is_some_and(|port| !port.parse().is_ok_and(|port: u16| port > 0)) {
        return Err(refused("its port is not a number from 1 to 65535"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The host, with the brackets of an IPv6 address, and the text after its
/// colon; neither is checked yet.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(end) = authority.find(']') {
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.len() <= 253
        && !host.starts_with(['.', '-'])
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_kind_are_accepted() {
        for (text, read) in [
            ("http://169.254.169.254", "http://169.254.169.254"),
            ("http://[fd00:ec2::254]:80/", "http://[fd00:ec2::254]:80"),
            (
                "https://logs.eu-west-1.amazonaws.com",
                "https://logs.eu-west-1.amazonaws.com",
            ),
            ("http://localhost:5000/moto/", "http://localhost:5000/moto"),
        ] {
            assert_eq!(read_endpoint(text).unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "",
            "169.254.169.254",
            "ftp://host",
            "HTTP//host",
            "http://",
            "http:///path",
            "http://:80",
            "http://host:0",
            "http://host:65536",
            "http://host:+80x",
            "http://[::1",
            "http://[zz]",
            "http://[::1]x",
            "http://a b",
            "http://höst",
            "http://host?x",
            "http://host#x",
        ] {
            assert!(read_endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_shown() {
        let error = read_endpoint(&["http://me:", "hunter2", "@proxy:3128"].concat()).unwrap_err();
        assert!(!error.reason.contains("hunter2"), "{}", error.reason);
    }
}
