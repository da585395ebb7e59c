//! The parts of a MIME multipart message, as cloud-init takes it.
//!
//! `mail-parser` reads the headers and decodes; its reader of whole messages
//! panics on some that are damaged, and takes gzip in a part for text.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Message, MessageParser, MimeHeaders as _};
use memchr::memmem;

/// Parts of one message that are looked at one by one.
const MAX_PARTS: usize = 1000;

/// Bytes in which the headers of a message or part stand.
const MAX_HEAD: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    /// Whether there are more than the bounds allow.
    pub(super) is_cut: bool,
}

pub(super) struct Part {
    pub(super) name: String,
    /// Decoded; of a multipart message within the message, all of it.
    pub(super) content: Vec<u8>,
    /// Its type, such as `text/x-include-url`.
    pub(super) declared: Option<String>,
}

/// Whether `text` begins with headers of a multipart message.
pub(super) fn is_multipart(text: &[u8]) -> bool {
    let (head, _) = split_head(text);
    memmem::find(&head.to_ascii_lowercase(), b"multipart/").is_some() && boundary(head).is_some()
}

/// The parts of a multipart message, each decoded.
pub(super) fn parts(text: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let (head, body) = split_head(text);
    let Some(delimiter) = boundary(head) else {
        return parts;
    };
    let end = [&delimiter[..], b"--"].concat();
    // Where the part at hand begins; what is before the first is none.
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let is_end = line.trim_ascii_end() == end;
        if is_end || line.trim_ascii_end() == delimiter {
            parts.add(start, at, body);
            start = (!is_end).then_some(at + line.len());
        }
        at += line.len();
    }
    // A message that was cut has no end.
    parts.add(start, at, body);
    parts
}

impl Parts {
    fn add(&mut self, start: Option<usize>, end: usize, body: &[u8]) {
        let Some(part) = start.and_then(|start| body.get(start..end)) else {
            return;
        };
        if self.parts.len() == MAX_PARTS {
            self.is_cut = true;
            return;
        }
        let (head, content) = split_head(part);
        let headers = headers(head);
        let name = headers
            .as_ref()
            .and_then(|headers| headers.attachment_name());
        // As cloud-init names what has no name.
        let name = name.map_or_else(
            || format!("part-{:03}", self.parts.len() + 1),
            ToOwned::to_owned,
        );
        let declared = headers
            .as_ref()
            .and_then(|headers| headers.content_type())
            .and_then(|kind| Some(format!("{}/{}", kind.ctype(), kind.subtype()?)));
        let encoding = headers
            .as_ref()
            .and_then(|headers| headers.content_transfer_encoding())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let decoded = match encoding.as_str() {
            "base64" => base64_decode(content),
            "quoted-printable" => quoted_printable_decode(content),
            _ if is_multipart(part) => Some(part.to_vec()),
            _ => None,
        };
        self.parts.push(Part {
            name,
            content: decoded.unwrap_or_else(|| content.to_vec()),
            declared,
        });
    }
}

/// The line that stands before each part.
fn boundary(head: &[u8]) -> Option<Vec<u8>> {
    let headers = headers(head)?;
    let boundary = headers.content_type()?.attribute("boundary")?;
    Some([b"--", boundary.as_bytes()].concat())
}

fn headers(head: &[u8]) -> Option<Message<'_>> {
    MessageParser::new().with_mime_headers().parse_headers(head)
}

/// The headers with the empty line behind them, and the rest.
fn split_head(text: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.trim_ascii().is_empty() {
            return text.split_at(at);
        }
        if at > MAX_HEAD {
            break;
        }
    }
    (b"", text)
}
