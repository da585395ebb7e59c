//! Texts made to be expensive, or to hold more than can be told.

use std::io::Write as _;

use base64::prelude::*;

/// A kind of hostile text, of any length.
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) make: fn(usize) -> Vec<u8>,
}

pub(crate) const ALL: &[Input] = &[
    Input {
        name: "prefixes",
        make: |len| fill(len, concat!("AK", "IA")),
    },
    Input {
        name: "overlapping prefixes",
        make: |len| fill(len, "AKI"),
    },
    Input {
        name: "IDs",
        make: |len| each(len, |rng, out| writeln!(out, "{}", id(rng))),
    },
    Input {
        name: "one ID",
        make: |len| fill(len, &(id(&mut fastrand::Rng::with_seed(3)) + " ")),
    },
    Input {
        name: "IDs in rows",
        make: |len| {
            // With what may be the head of a row before each.
            let mut text = vec![0];
            text.extend(each(len, |rng, out| write!(out, "\x7f5\t\tX{}X", id(rng))));
            text
        },
    },
    Input {
        name: "pairs",
        make: |len| each(len, |rng, out| writeln!(out, "{} {}", id(rng), secret(rng))),
    },
    Input {
        name: "named pairs",
        make: |len| {
            each(len, |rng, out| {
                writeln!(out, "{}\naws_secret_key = {}", id(rng), secret(rng))
            })
        },
    },
    Input {
        name: "named secrets",
        make: |len| {
            each(len, |rng, out| {
                writeln!(out, "aws_secret_key={}", secret(rng))
            })
        },
    },
    Input {
        name: "an ID and secrets",
        make: |len| {
            let mut text = id(&mut fastrand::Rng::with_seed(3)).into_bytes();
            text.extend(each(len, |rng, out| write!(out, "\n{}", secret(rng))));
            text
        },
    },
    Input {
        name: "IDs followed by base64",
        make: |len| {
            let id = id(&mut fastrand::Rng::with_seed(3));
            fill(len, &format!("/{id}a"))
        },
    },
    Input {
        name: "an ID and signers",
        make: |len| each(len, |rng, out| write!(out, "AWSAccessKeyId={}&", id(rng))),
    },
    Input {
        name: "base64 of noise on one line",
        make: |len| BASE64_STANDARD.encode(noise(len * 3 / 4)).into_bytes(),
    },
    Input {
        name: "base64 of noise, wrapped",
        make: |len| wrap(76, BASE64_STANDARD.encode(noise(len * 3 / 4)).as_bytes()),
    },
    Input {
        name: "base64 of noise, wrapped short",
        make: |len| wrap(33, BASE64_STANDARD.encode(noise(len * 3 / 4)).as_bytes()),
    },
    Input {
        name: "base64 of text",
        make: |len| {
            BASE64_STANDARD
                .encode(fill(len * 3 / 4, "some words "))
                .into_bytes()
        },
    },
    Input {
        name: "base64 of prefixes",
        make: |len| {
            BASE64_STANDARD
                .encode(fill(len * 3 / 4, concat!("AK", "IA")))
                .into_bytes()
        },
    },
    Input {
        name: "base64 of base64 of pairs",
        make: |len| {
            let pairs = each(len * 9 / 16, |rng, out| {
                writeln!(out, "{} {}", id(rng), secret(rng))
            });
            BASE64_STANDARD
                .encode(BASE64_STANDARD.encode(pairs))
                .into_bytes()
        },
    },
    Input {
        name: "many base64 texts of pairs",
        make: |len| {
            each(len, |rng, out| {
                let pair = format!("{} {}", id(rng), secret(rng));
                writeln!(out, "{}", BASE64_STANDARD.encode(pair))
            })
        },
    },
    Input {
        name: "base64 four times",
        make: |len| {
            let mut text = fill(len * 81 / 256, concat!("AK", "IA "));
            for _ in 0..4 {
                text = BASE64_STANDARD.encode(text).into_bytes();
            }
            text
        },
    },
    Input {
        name: "one letter",
        make: |len| fill(len, "A"),
    },
    Input {
        name: "a run of the base64 alphabet",
        make: |len| fill(len, "aB3+/x"),
    },
    Input {
        name: "short runs of base64",
        make: |len| fill(len, "aB3+/xaB3+/xaB3+/xaB3+/xaB3+/xaB3+/xaB3+/x-_\n"),
    },
    Input {
        name: "parts of a name",
        make: |len| fill(len, "ecret"),
    },
    Input {
        name: "names",
        make: |len| fill(len, "secret_key = "),
    },
    Input {
        name: "names of AWS",
        make: |len| fill(len, "aws_secret_access_key = "),
    },
    Input {
        name: "names without blanks",
        make: |len| fill(len, "awssecretkey"),
    },
    Input {
        name: "names before runs",
        make: |len| {
            fill(
                len,
                "aws_secret=aB3+/xaB3+/xaB3+/xaB3+/xaB3+/xaB3+/xaB3+/x\n",
            )
        },
    },
    Input {
        name: "hex of prefixes",
        make: |len| hex(&fill(len / 2, concat!("AK", "IA"))),
    },
    Input {
        name: "hex of pairs",
        make: |len| {
            hex(&each(len / 2, |rng, out| {
                writeln!(out, "{} {}", id(rng), secret(rng))
            }))
        },
    },
    Input {
        name: "hex of noise",
        make: |len| hex(&noise(len / 2)),
    },
    Input {
        name: "UTF-16 of prefixes",
        make: |len| utf16(&fill(len / 2, concat!("AK", "IA"))),
    },
    Input {
        name: "UTF-16 of pairs",
        make: |len| {
            utf16(&each(len / 2, |rng, out| {
                writeln!(out, "{} {}", id(rng), secret(rng))
            }))
        },
    },
    Input {
        name: "broken UTF-16",
        make: |len| fill(len, "A\0K\0I\0A\0\0\0"),
    },
    Input {
        name: "escapes",
        make: |len| fill(len, r"\x41"),
    },
    Input {
        name: "escapes of prefixes",
        make: |len| fill(len, r"\x41\x4b\x49\x41"),
    },
    Input {
        name: "escaped escapes",
        make: |len| fill(len, r"\x5cx41 %41%4b &#65; \\\\\\\u0041"),
    },
    Input {
        name: "percent escapes",
        make: |len| fill(len, "%41%"),
    },
    Input {
        name: "gzip headers in base64",
        make: |len| fill(len, "H4sI"),
    },
    Input {
        name: "gzip texts in base64",
        make: |len| {
            let text = BASE64_STANDARD.encode(gzip(b"a few words")) + "\n";
            fill(len, &text)
        },
    },
    Input {
        name: "gzip bombs in base64",
        make: |len| {
            fill(
                len,
                &(BASE64_STANDARD.encode(gzip(&vec![0; 4 << 20])) + "\n"),
            )
        },
    },
    Input {
        name: "gzip bombs in gzip bombs",
        make: |len| {
            let inner = BASE64_STANDARD.encode(gzip(&vec![0; 1 << 20])) + "\n";
            let outer = gzip(&fill(4 << 20, &inner));
            fill(len, &(BASE64_STANDARD.encode(outer) + "\n"))
        },
    },
    Input {
        name: "joints",
        make: |len| fill(len, r#""A" + "#),
    },
    Input {
        name: "a prefix over joints",
        make: |len| fill(len, concat!(r#""AK"#, r#"IA" + "A" + "A" + "#)),
    },
    Input {
        name: "wide joints",
        make: |len| {
            let blanks = " ".repeat(120);
            fill(len, &format!("\"{blanks}\"a"))
        },
    },
    Input {
        name: "names and joints",
        make: |len| fill(len, r#"aws_secret="A" + "B""#),
    },
    Input {
        name: "lists",
        make: |len| fill(len, concat!(r#"['AK"#, r#"IA', 'A', 'B', "#)),
    },
    Input {
        name: "quotes",
        make: |len| fill(len, "\""),
    },
    Input {
        name: "backslashes",
        make: |len| fill(len, "\\"),
    },
    Input {
        name: "an ID and backslashes",
        make: |len| {
            let mut text = id(&mut fastrand::Rng::with_seed(3)).into_bytes();
            text.extend(fill(len, "\\"));
            text
        },
    },
    Input {
        name: "an ID and blank lines",
        make: |len| {
            let mut text = id(&mut fastrand::Rng::with_seed(3)).into_bytes();
            text.extend(fill(len, "\n\n\n \t"));
            text
        },
    },
    Input {
        name: "newlines",
        make: |len| fill(len, "\n"),
    },
    Input {
        name: "IDs of a character escape a letter",
        make: |len| fill(len, concat!("\\u0041K", "IA\\\\\\\\")),
    },
    Input {
        name: "long-lived Bedrock prefixes",
        make: |len| fill(len, concat!("/AB", "SKQmVkcm9ja")),
    },
    Input {
        name: "long-lived Bedrock names",
        make: |len| fill(len, concat!("/AB", "SKQmVkcm9ja0FQSUtleS0")),
    },
    Input {
        name: "short-lived Bedrock prefixes",
        make: |len| fill(len, concat!("/bedrock-", "api-key-")),
    },
    Input {
        name: "prefixes of session tokens",
        make: |len| fill(len, concat!("/IQoJb3Jp", "Z2lu")),
    },
    Input {
        name: "session tokens",
        make: |len| {
            each(len, |rng, out| {
                let rest: String = (0..3).map(|_| secret(rng)).collect();
                writeln!(out, concat!("FwoGZX", "IvYXdz{}"), rest)
            })
        },
    },
    Input {
        name: "noise",
        make: noise,
    },
];

pub(crate) fn named(name: &str) -> &'static Input {
    let mut named = ALL.iter().filter(|input| input.name == name);
    named.next().expect("a hostile text of this name")
}

/// `unit` again and again.
fn fill(len: usize, unit: &str) -> Vec<u8> {
    unit.bytes().cycle().take(len).collect()
}

/// What `write` writes, again and again.
fn each(
    len: usize,
    write: impl Fn(&mut fastrand::Rng, &mut Vec<u8>) -> std::io::Result<()>,
) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut out = Vec::new();
    while out.len() < len {
        write(&mut rng, &mut out).expect("a Vec takes everything");
    }
    out
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(5).fill(&mut bytes);
    bytes
}

fn id(rng: &mut fastrand::Rng) -> String {
    let tail = pick(rng, 15, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    format!("{}Q{tail}", concat!("AK", "IA"))
}

fn secret(rng: &mut fastrand::Rng) -> String {
    pick(
        rng,
        40,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    )
}

fn pick(rng: &mut fastrand::Rng, len: usize, alphabet: &[u8]) -> String {
    (0..len)
        .map(|_| char::from(alphabet[rng.usize(..alphabet.len())]))
        .collect()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|b| format!("{b:02x}").into_bytes())
        .collect()
}

fn utf16(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|b| [*b, 0]).collect()
}

fn wrap(width: usize, text: &[u8]) -> Vec<u8> {
    text.chunks(width).collect::<Vec<_>>().join(&b'\n')
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}
