//! One request and its answer, held to limits and to what IMDS can be.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};

use super::Error;
use crate::secret::Secret;

/// Bytes; AWS's longest item, user-data, has at most 16 KiB.
pub(super) const MAX_BODY: usize = 64 << 10;

/// How long to wait, at most, before the second try: long enough for a throttle
/// of packets a second, and short enough for a run by hand.
const PAUSE: Duration = Duration::from_millis(250);

/// Sends `request`, once more where the answer says nothing of the matter, and
/// reads the whole answer if it is a 200.
pub(super) async fn send(
    request: RequestBuilder,
    what: &'static str,
) -> Result<(HeaderMap, Secret), Error> {
    let again = request.try_clone();
    match (send_once(request, what).await, again) {
        (Err(error), Some(again)) if error.is_transient() => {
            log::debug!("{error}; trying again");
            tokio::time::sleep(PAUSE.mul_f64(fastrand::f64().midpoint(1.0))).await;
            send_once(again, what).await
        }
        (answer, _) => answer,
    }
}

/// Sends `request` and reads the whole answer if it is a 200.
async fn send_once(
    request: RequestBuilder,
    what: &'static str,
) -> Result<(HeaderMap, Secret), Error> {
    let mut response = request
        .send()
        .await
        .map_err(|error| Error::of_transport(what, &error))?;
    if let Some(sign) = proxy_sign(response.status(), response.headers()) {
        return Err(Error::Proxy { what, sign });
    }
    if response.status() != StatusCode::OK {
        return Err(Error::of_status(what, response.status().as_u16()));
    }
    if response
        .content_length()
        .is_some_and(|n| n > MAX_BODY as u64)
    {
        return Err(Error::TooLarge { what });
    }
    // Never grows: a body may hold credentials, and growing would leave
    // copies behind that nobody wipes.
    let mut body = Vec::with_capacity(MAX_BODY);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => {
                drop(Secret::new(body));
                return Err(Error::TooLarge { what });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok((response.headers().clone(), Secret::new(body))),
            Err(error) => {
                drop(Secret::new(body));
                return Err(Error::of_transport(what, &error));
            }
        }
    }
}

/// What gives away that somebody else answers. IMDS's own error pages are
/// HTML, so HTML counts in a 200 only, see [`text`].
fn proxy_sign(status: StatusCode, headers: &HeaderMap) -> Option<&'static str> {
    match status.as_u16() {
        300..400 => return Some("a redirect"),
        407 => return Some("status 407"),
        502 => return Some("status 502"),
        504 => return Some("status 504"),
        _ => {}
    }
    headers.keys().find_map(|name| match name.as_str() {
        "via" => Some("a Via header"),
        "x-squid-error" => Some("an X-Squid-Error header"),
        name if name.starts_with("proxy-") => Some("a Proxy header"),
        _ => None,
    })
}

/// A body that has to be text: not empty, not a web page, no longer than
/// `max` bytes.
pub(super) fn text<'a>(what: &'static str, body: &'a Secret, max: usize) -> Result<&'a str, Error> {
    let text = body.expose_str().ok_or(Error::malformed(what))?.trim();
    if text.is_empty() {
        return Err(Error::Empty { what });
    }
    if text.starts_with('<') {
        return Err(Error::Proxy {
            what,
            sign: "a web page",
        });
    }
    if text.len() > max {
        return Err(Error::TooLarge { what });
    }
    Ok(text)
}
