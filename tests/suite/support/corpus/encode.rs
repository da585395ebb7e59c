//! The encodings in which a key is met, each with a map of where every byte
//! of the input went: the line of an encoded key is a matter of the test too.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Encoded bytes; `at[i]` is where byte `i` of the input begins in them.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) at: Vec<usize>,
}

/// Encodes `input` as the block `name` asks, or `None` where there is no such
/// block.
pub(super) fn encode(name: &str, argument: Option<usize>, input: &[u8]) -> Option<Encoded> {
    let encoded = match (name, argument) {
        ("b64", None) => sextets(STANDARD.encode(input), input),
        ("b64nopad", None) => sextets(STANDARD_NO_PAD.encode(input), input),
        ("b64url", None) => sextets(URL_SAFE.encode(input), input),
        ("b64urlnopad", None) => sextets(URL_SAFE_NO_PAD.encode(input), input),
        ("hex", None) => each(input, |b, out| write!(out, "{b:02x}")),
        ("HEX", None) => each(input, |b, out| write!(out, "{b:02X}")),
        ("utf16le", None) => utf16(input, u16::to_le_bytes),
        ("utf16be", None) => utf16(input, u16::to_be_bytes),
        ("gz", None) => gz(input),
        ("percent", None) => some(b"+/=", input, |b, out| write!(out, "%{b:02X}")),
        ("percentall", None) => each(input, |b, out| write!(out, "%{b:02X}")),
        ("htmlsafe", None) => some(b"&<>\"'/+=", input, |b, out| write!(out, "&#x{b:02X};")),
        ("htmldec", None) => each(input, |b, out| write!(out, "&#{b};")),
        ("htmlhex", None) => each(input, |b, out| write!(out, "&#x{b:X};")),
        ("jsonesc", None) => some(b"\"\\\n\r\t", input, |b, out| match b {
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            _ => write!(out, "\\{}", char::from(b)),
        }),
        // As System.Text.Json and Gson write it: safe inside HTML.
        ("jsonhtml", None) => some(b"+&<>='", input, |b, out| write!(out, "\\u{b:04X}")),
        ("slashes", None) => some(b"/", input, |_, out| write!(out, "\\/")),
        ("uescape", None) => each(input, |b, out| write!(out, "\\u{b:04x}")),
        ("xescape", None) => each(input, |b, out| write!(out, "\\x{b:02x}")),
        ("ubrace", None) => each(input, |b, out| write!(out, "\\u{{{b:x}}}")),
        ("ulong", None) => each(input, |b, out| write!(out, "\\U{b:08x}")),
        ("octal", None) => each(input, |b, out| write!(out, "\\{b:03o}")),
        ("htmlpadded", None) => each(input, |b, out| write!(out, "&#X{b:04X};")),
        ("percenttwice", None) => each(input, |b, out| write!(out, "%25{b:02X}")),
        ("equals", None) => each(input, |b, out| write!(out, "={b:02X}")),
        ("hexcolons", None) => each(input, |b, out| write!(out, "{b:02x}:")),
        ("hexlist", None) => each(input, |b, out| write!(out, "0x{b:02x}, ")),
        ("decimals", None) => each(input, |b, out| write!(out, "{b}, ")),
        ("comment", None) => some(b"\n", input, |_, out| write!(out, "\n# ")),
        ("crlf", None) => some(b"\n", input, |_, out| write!(out, "\r\n")),
        ("wrap", Some(width)) => wrap(width, input),
        ("indent", Some(depth)) => some(b"\n", input, |_, out| write!(out, "\n{:1$}", "", depth)),
        _ => return None,
    };
    Some(encoded)
}

/// A base64 text of `input`: eight bits a byte in six bits a character.
fn sextets(text: String, input: &[u8]) -> Encoded {
    Encoded {
        bytes: text.into_bytes(),
        at: (0..input.len()).map(|i| i * 8 / 6).collect(),
    }
}

fn each(input: &[u8], escape: impl Fn(u8, &mut String) -> std::fmt::Result) -> Encoded {
    map(input, |_| true, escape)
}

fn some(
    special: &[u8],
    input: &[u8],
    escape: impl Fn(u8, &mut String) -> std::fmt::Result,
) -> Encoded {
    map(input, |byte| special.contains(&byte), escape)
}

fn map(
    input: &[u8],
    special: impl Fn(u8) -> bool,
    escape: impl Fn(u8, &mut String) -> std::fmt::Result,
) -> Encoded {
    let (mut bytes, mut at) = (Vec::with_capacity(input.len()), Vec::new());
    let mut escaped = String::new();
    for &byte in input {
        at.push(bytes.len());
        if special(byte) {
            escaped.clear();
            escape(byte, &mut escaped).expect("a String takes everything");
            bytes.extend_from_slice(escaped.as_bytes());
        } else {
            bytes.push(byte);
        }
    }
    Encoded { bytes, at }
}

fn utf16(input: &[u8], order: impl Fn(u16) -> [u8; 2]) -> Encoded {
    let text = std::str::from_utf8(input).expect("UTF-16 is made of text");
    let (mut bytes, mut at) = (Vec::new(), Vec::new());
    let mut units = [0; 2];
    for char in text.chars() {
        at.extend(std::iter::repeat_n(bytes.len(), char.len_utf8()));
        bytes.extend(char.encode_utf16(&mut units).iter().flat_map(|u| order(*u)));
    }
    Encoded { bytes, at }
}

/// No byte of the input has a place of its own in a compressed stream.
fn gz(input: &[u8]) -> Encoded {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(input).expect("a Vec takes everything");
    Encoded {
        bytes: encoder.finish().expect("a Vec takes everything"),
        at: vec![0; input.len()],
    }
}

fn wrap(width: usize, input: &[u8]) -> Encoded {
    Encoded {
        bytes: input.chunks(width).collect::<Vec<_>>().join(&b'\n'),
        at: (0..input.len()).map(|i| i + i / width).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    /// Latin letters only where the decoder below is for bytes.
    const TEXT: &str = "key = \"+a/b=\"\n\t'<&>' \\ AKIA\r\nend";

    fn encoded(name: &str, argument: Option<usize>, input: &str) -> Vec<u8> {
        let encoded = encode(name, argument, input.as_bytes()).expect(name);
        assert_eq!(encoded.at.len(), input.len());
        assert!(encoded.at.iter().all(|at| *at < encoded.bytes.len()));
        encoded.bytes
    }

    fn text(name: &str) -> String {
        String::from_utf8(encoded(name, None, TEXT)).expect("text")
    }

    /// Undoes escapes that are `open`, digits, `close`.
    fn unescape(text: &str, open: &str, digits: usize, radix: u32, close: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(open) {
            out.push_str(&rest[..at]);
            rest = &rest[at + open.len()..];
            let end = if digits > 0 {
                digits
            } else {
                rest.find(close).expect("a closed escape")
            };
            let code = u32::from_str_radix(&rest[..end], radix).expect("digits");
            out.push(char::from_u32(code).expect("a character"));
            rest = &rest[end + close.len()..];
        }
        out + rest
    }

    #[test]
    fn base64_decodes_to_the_input() {
        for length in 0..TEXT.len() {
            let input = &TEXT[..length];
            assert_eq!(
                STANDARD.decode(encoded("b64", None, input)).as_deref(),
                Ok(input.as_bytes())
            );
            assert_eq!(
                STANDARD_NO_PAD
                    .decode(encoded("b64nopad", None, input))
                    .as_deref(),
                Ok(input.as_bytes())
            );
        }
        assert_eq!(
            URL_SAFE.decode(text("b64url")).as_deref(),
            Ok(TEXT.as_bytes())
        );
        assert_eq!(
            URL_SAFE_NO_PAD.decode(text("b64urlnopad")).as_deref(),
            Ok(TEXT.as_bytes())
        );
    }

    #[test]
    fn escapes_can_be_undone() {
        for (name, open, digits, radix, close) in [
            ("percent", "%", 2, 16, ""),
            ("percentall", "%", 2, 16, ""),
            ("hex", "", 2, 16, ""),
            ("HEX", "", 2, 16, ""),
            ("htmlsafe", "&#x", 0, 16, ";"),
            ("htmlhex", "&#x", 0, 16, ";"),
            ("htmldec", "&#", 0, 10, ";"),
            ("uescape", "\\u", 4, 16, ""),
            ("jsonhtml", "\\u", 4, 16, ""),
            ("xescape", "\\x", 2, 16, ""),
        ] {
            // An empty opening is found for ever: hex is undone pair by pair.
            let undone = if open.is_empty() {
                let text = text(name);
                (0..text.len())
                    .step_by(2)
                    .map(|i| char::from(u8::from_str_radix(&text[i..i + 2], 16).expect("hex")))
                    .collect()
            } else {
                unescape(&text(name), open, digits, radix, close)
            };
            assert_eq!(undone, TEXT, "{name}");
        }
        assert_eq!(
            serde_json::from_str::<String>(&format!("\"{}\"", text("jsonesc"))).expect("JSON"),
            TEXT
        );
        assert_eq!(text("slashes").replace("\\/", "/"), TEXT);
        assert_eq!(
            String::from_utf8(encoded("crlf", None, "a\nb\n")).expect("text"),
            "a\r\nb\r\n"
        );
    }

    #[test]
    fn utf16_decodes_to_the_input() {
        let wide = "\u{feff}é AKIA \u{1f511}\n";
        for (name, order) in [
            ("utf16le", u16::from_le_bytes as fn([u8; 2]) -> u16),
            ("utf16be", u16::from_be_bytes),
        ] {
            let units: Vec<u16> = encoded(name, None, wide)
                .chunks(2)
                .map(|pair| order([pair[0], pair[1]]))
                .collect();
            assert_eq!(String::from_utf16(&units).expect("UTF-16"), wide);
        }
        assert_eq!(encoded("utf16le", None, wide)[..2], [0xff, 0xfe]);
    }

    #[test]
    fn gzip_decompresses_to_the_input() {
        let mut out = String::new();
        GzDecoder::new(&encoded("gz", None, TEXT)[..])
            .read_to_string(&mut out)
            .expect("gzip");
        assert_eq!(out, TEXT);
    }

    #[test]
    fn lines_are_wrapped_and_indented() {
        assert_eq!(encoded("wrap", Some(3), "abcdefg"), b"abc\ndef\ng");
        assert_eq!(encoded("wrap", Some(3), "abcdef"), b"abc\ndef");
        assert_eq!(encoded("indent", Some(2), "a\nb"), b"a\n  b");
    }

    #[test]
    fn every_byte_is_where_the_map_says() {
        let input = b"xxAKIAxx";
        let at = |name, argument| {
            let encoded = encode(name, argument, input).expect(name);
            encoded.bytes[encoded.at[2]..].to_vec()
        };
        assert!(at("hex", None).starts_with(b"414b"));
        assert!(at("uescape", None).starts_with(b"\\u0041"));
        assert!(at("utf16be", None).starts_with(b"\0A\0K"));
        assert!(at("wrap", Some(2)).starts_with(b"AK\nIA"));
        // Byte 2 of three is the low two bits of character 2, and on.
        assert_eq!(encode("b64", None, input).expect("b64").at[2], 2);
        assert_eq!(encode("b64", None, input).expect("b64").at[3], 4);
    }
}
