//! Expands one template.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use fastrand::Rng;
use sha2::{Digest, Sha256};

use super::encode::encode;
use super::keys::{Kind, identifier, pick};
use super::{Planted, Specimen};

/// Words of which fillers are made: nothing in them speaks of keys.
const WORDS: [&str; 24] = [
    "listen", "worker", "backlog", "timeout", "locale", "queue", "metrics", "retry", "buffer",
    "window", "schema", "upstream", "verbose", "region", "interval", "socket", "format", "shard",
    "replica", "level", "mode", "path", "limit", "driver",
];

/// Expands the template `text`, which lies at `path` in the corpus.
///
/// # Panics
///
/// Where the template is wrong: that is a fault of the corpus.
pub(crate) fn expand(path: &str, text: &str, seed: u64) -> Specimen {
    let mut expander = Expander {
        path,
        seed,
        rest: text,
        noise: rng(seed, path, "noise"),
        values: BTreeMap::new(),
    };
    let chunk = expander.chunk(None);
    let mut planted: Vec<Planted> = Vec::new();
    for mark in &chunk.marks {
        let line = 1 + memchr::memchr_iter(b'\n', &chunk.bytes[..mark.offset]).count();
        if let Some(known) = planted
            .iter_mut()
            .find(|planted| planted.kind == mark.kind && planted.text == mark.text)
        {
            known.lines.push(line);
        } else {
            planted.push(Planted {
                kind: mark.kind,
                number: mark.number,
                text: mark.text.clone(),
                lines: vec![line],
            });
        }
    }
    Specimen {
        path: path.to_owned(),
        bytes: chunk.bytes,
        planted,
    }
}

/// A generator of its own for each `purpose` in a file: an edit elsewhere in
/// the template does not change a value.
fn rng(seed: u64, path: &str, purpose: &str) -> Rng {
    let mut hash = Sha256::new();
    for part in [&seed.to_le_bytes()[..], path.as_bytes(), purpose.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    let digest = hash.finalize();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    Rng::with_seed(u64::from_le_bytes(head))
}

/// Where a credential starts in a chunk.
#[derive(Debug, Clone)]
struct Mark {
    offset: usize,
    kind: Kind,
    number: u32,
    text: String,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

impl Chunk {
    fn append(&mut self, bytes: &[u8], marks: impl IntoIterator<Item = Mark>) {
        let base = self.bytes.len();
        self.marks.extend(marks.into_iter().map(|mark| Mark {
            offset: base + mark.offset,
            ..mark
        }));
        self.bytes.extend_from_slice(bytes);
    }
}

struct Expander<'a> {
    path: &'a str,
    seed: u64,
    rest: &'a str,
    noise: Rng,
    values: BTreeMap<String, String>,
}

impl<'a> Expander<'a> {
    /// Expands up to the end of the block `until`, or of the template.
    fn chunk(&mut self, until: Option<&str>) -> Chunk {
        let mut chunk = Chunk::default();
        while let Some(at) = self.rest.find("<<") {
            chunk.append(&self.rest.as_bytes()[..at], []);
            self.rest = &self.rest[at..];
            let Some(inner) = placeholder(self.rest) else {
                // A here-document, a shift, a merge key: not ours.
                chunk.append(b"<", []);
                self.rest = &self.rest[1..];
                continue;
            };
            self.rest = &self.rest[inner.len() + 4..];
            if let Some(closed) = inner.strip_prefix('/') {
                assert_eq!(Some(closed), until, "{}: closing", self.path);
                return chunk;
            }
            if inner == "eof" {
                self.rest = "";
                break;
            }
            self.placeholder(inner, &mut chunk);
        }
        assert!(until.is_none(), "{}: {until:?} stays open", self.path);
        chunk.append(self.rest.as_bytes(), []);
        chunk
    }

    fn placeholder(&mut self, inner: &'a str, chunk: &mut Chunk) {
        let (name, argument) = match inner.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (inner, None),
        };
        if let (Some(kind), Some(argument)) = (Kind::parse(name), argument) {
            self.value(kind, name, argument, chunk);
        } else if let Some(bytes) = self.atom(name, argument) {
            chunk.append(&bytes, []);
        } else if name == "repeat" {
            let (count, body) = (number(argument), self.rest);
            assert!(count > 0, "{}: {inner}", self.path);
            for _ in 0..count {
                self.rest = body;
                let Chunk { bytes, marks } = self.chunk(Some(name));
                chunk.append(&bytes, marks);
            }
        } else {
            let body = self.chunk(Some(name));
            let encoded = encode(name, argument.map(|a| number(Some(a))), &body.bytes)
                .unwrap_or_else(|| panic!("{}: unknown placeholder {inner}", self.path));
            let marks = body.marks.into_iter().map(|mark| Mark {
                offset: encoded.at[mark.offset],
                ..mark
            });
            chunk.append(&encoded.bytes, marks);
        }
    }

    /// A credential, or a slice of one; the first slice marks its place.
    fn value(&mut self, kind: Kind, name: &str, argument: &str, chunk: &mut Chunk) {
        let (label, range) = match argument.split_once('[') {
            Some((label, slice)) => (label, Some(self.range(slice))),
            None => (argument, None),
        };
        let forced = |end: Option<&u8>| end.copied().filter(|byte| matches!(byte, b'+' | b'/'));
        let starts = forced(name.as_bytes().last());
        let ends = forced(label.as_bytes().last());
        let purpose = format!("{name}:{label}");
        let (seed, path) = (self.seed, self.path);
        let text = self
            .values
            .entry(purpose)
            .or_insert_with_key(|purpose| {
                kind.generate(&mut rng(seed, path, purpose), starts, ends)
            })
            .clone();
        let range = range.unwrap_or(0..text.len());
        let mark = (range.start == 0).then(|| Mark {
            offset: 0,
            kind,
            number: label
                .trim_end_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .unwrap_or_else(|_| panic!("{path}: {name}:{argument} has no number")),
            text: text.clone(),
        });
        chunk.append(&text.as_bytes()[range], mark);
    }

    fn range(&self, slice: &str) -> Range<usize> {
        slice
            .strip_suffix(']')
            .and_then(|slice| slice.split_once(".."))
            .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?))
            .unwrap_or_else(|| panic!("{}: a slice is [0..8], not {slice}", self.path))
    }

    /// What stands for itself and plants nothing.
    fn atom(&mut self, name: &str, argument: Option<&str>) -> Option<Vec<u8>> {
        let text = match (name, argument) {
            // Breaks up what would look like a key in the template.
            ("nothing", None) => String::new(),
            ("nul", None) => "\0".to_owned(),
            ("esc", None) => "\x1b".to_owned(),
            ("bom", None) => "\u{feff}".to_owned(),
            ("byte", Some(hex)) => {
                return Some(vec![u8::from_str_radix(hex, 16).expect("two hex digits")]);
            }
            // In two parts, so that this file holds no example either.
            ("example-id", None) => concat!("AKIAIOSFODNN7", "EXAMPLE").to_owned(),
            ("example-id", Some("2")) => concat!("AKIAI44QH8DHB", "EXAMPLE").to_owned(),
            ("example-id", Some("asia")) => concat!("ASIAIOSFODNN7", "EXAMPLE").to_owned(),
            ("example-secret", None) => {
                concat!("wJalrXUtnFEMI/K7MDENG", "/bPxRfiCYEXAMPLEKEY").to_owned()
            }
            ("example-secret", Some("2")) => {
                concat!("je7MtGbClwBF/2Zp9Utk", "/h3yCo8nvbEXAMPLEKEY").to_owned()
            }
            ("prefix", Some(prefix)) => prefix.to_uppercase(),
            ("filler", Some(_)) => self.filler(number(argument)),
            ("random", Some(what)) => {
                let (alphabet, count) = what.split_once(':')?;
                return self.random(alphabet, number(Some(count)));
            }
            (prefix, Some(label)) => {
                let mut rng = rng(self.seed, self.path, &format!("{prefix}:{label}"));
                identifier(prefix, &mut rng)?
            }
            _ => return None,
        };
        Some(text.into_bytes())
    }

    /// Lines as of a settings file of which no one reads the end.
    fn filler(&mut self, lines: usize) -> String {
        let word = |rng: &mut Rng| WORDS[rng.usize(..WORDS.len())];
        let mut text = String::new();
        for _ in 0..lines {
            let rng = &mut self.noise;
            let (section, name, number) = (word(rng), word(rng), rng.u32(..5000));
            writeln!(text, "# {section} {name} {number}").expect("a String takes everything");
        }
        text
    }

    fn random(&mut self, alphabet: &str, count: usize) -> Option<Vec<u8>> {
        let alphabet: &[u8] = match alphabet {
            "bytes" => return Some((0..count).map(|_| self.noise.u8(..)).collect()),
            "dna" => b"ACGT",
            "protein" => b"ACDEFGHIKLMNPQRSTVWY",
            "digits" => b"0123456789",
            "hex" => b"0123456789abcdef",
            "HEX" => b"0123456789ABCDEF",
            "lower" => b"abcdefghijklmnopqrstuvwxyz",
            "upper" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "base32" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "base32lower" => b"abcdefghijklmnopqrstuvwxyz234567",
            "upperalnum" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "alnum" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "base64" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            "base64url" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            _ => return None,
        };
        Some(pick(alphabet, count, &mut self.noise).into_bytes())
    }
}

/// The inside of the placeholder that `text` begins with, if it does.
fn placeholder(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("<<")?;
    let inner = &inner[..inner.find(">>")?];
    let own = |c: char| c.is_ascii_alphanumeric() || "/:+-.[]".contains(c);
    (!inner.is_empty() && !inner.starts_with(':') && inner.chars().all(own)).then_some(inner)
}

fn number(text: Option<&str>) -> usize {
    text.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("a number is wanted, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(Kind, u32, Vec<usize>)> {
        expand("found/x", text, 1)
            .planted
            .into_iter()
            .map(|p| (p.kind, p.number, p.lines))
            .collect()
    }

    #[test]
    fn a_value_is_the_same_wherever_it_stands_and_its_lines_are_counted() {
        let specimen = expand("found/x", "a\n<<id:1>>\n\n<<secret:1>> <<id:1>>\n", 1);
        let [id, secret] = &specimen.planted[..] else {
            panic!("two credentials, not {:?}", specimen.planted);
        };
        assert_eq!(id.lines, [2, 4]);
        assert_eq!(secret.lines, [4]);
        assert_eq!(
            specimen.bytes,
            format!("a\n{}\n\n{} {}\n", id.text, secret.text, id.text).as_bytes()
        );
    }

    #[test]
    fn slices_make_the_whole_and_count_once() {
        let specimen = expand("found/x", "\n<<id:1[0..8]>>' + '\n<<id:1[8..20]>>", 1);
        let id = &specimen.planted[0];
        assert_eq!(specimen.planted.len(), 1);
        assert_eq!(id.lines, [2]);
        let joined = String::from_utf8(specimen.bytes).expect("text");
        assert_eq!(joined.trim().replace("' + '\n", ""), id.text);
    }

    #[test]
    fn two_secrets_of_one_number_differ() {
        let specimen = expand("found/x", "<<secret:1>> <<secret:1b>> <<secret+:2/>>", 1);
        let texts: Vec<_> = specimen.planted.iter().map(|p| p.text.as_str()).collect();
        let numbers: Vec<_> = specimen.planted.iter().map(|p| p.number).collect();
        assert_ne!(texts[0], texts[1]);
        assert_eq!(numbers, [1, 1, 2]);
        assert!(texts[2].starts_with('+') && texts[2].ends_with('/'));
    }

    #[test]
    fn encoded_values_are_on_the_line_of_their_encoded_text() {
        // 57 bytes a line of 76 characters: byte 56 is on line 1 of the text
        // although most of the ID is on line 2; byte 57 is on line 2.
        for (before, line) in [(56, 3), (57, 4)] {
            let padding = "-".repeat(before);
            let text = format!("a\nb\n<<wrap:76>><<b64>>{padding}<<id:1>><</b64>><</wrap>>");
            assert_eq!(lines(&text), [(Kind::Id, 1, vec![line])]);
        }
        // Escaped line ends are no line ends.
        assert_eq!(
            lines("a\n<<jsonesc>>b\nc\n<<id:1>><</jsonesc>>"),
            [(Kind::Id, 1, vec![2])]
        );
        // Compressed, a value is where the compressed text begins.
        assert_eq!(
            lines("a\n<<wrap:4>><<b64>><<gz>>b\nc\n<<id:1>><</gz>><</b64>><</wrap>>"),
            [(Kind::Id, 1, vec![2])]
        );
        assert_eq!(
            lines("<<utf16be>><<bom>>a\nb\n<<id:1>>\n<</utf16be>>"),
            [(Kind::Id, 1, vec![3])]
        );
        assert_eq!(
            lines("<<repeat:5>>x\n<</repeat>><<filler:10>><<asia:3>>"),
            [(Kind::Asia, 3, vec![16])]
        );
    }

    #[test]
    fn other_angle_brackets_are_text() {
        for text in [
            "cat <<EOF >>x\n",
            "<<: *base",
            "1 << 2 >> 3",
            "<your-key>",
            "<<'END'\n",
        ] {
            assert_eq!(expand("found/x", text, 1).bytes, text.as_bytes());
        }
        let wrapped = expand("found/x", "<<<id:1>>>", 1);
        assert_eq!(wrapped.bytes.len(), 22);
    }

    #[test]
    fn noise_is_as_long_as_asked_and_new_each_time() {
        let bytes = expand("silent/x", "<<repeat:2>><<random:dna:30>><</repeat>>", 1).bytes;
        assert_eq!(bytes.len(), 60);
        assert_ne!(bytes[..30], bytes[30..]);
        assert_eq!(
            expand("silent/x", "<<byte:ff>>a<<eof>>\n", 1).bytes,
            b"\xffa"
        );
    }

    #[test]
    #[should_panic(expected = "unknown placeholder")]
    fn a_misspelt_placeholder_is_told() {
        expand("found/x", "<<sercet:1>> <</sercet>>", 1);
    }

    #[test]
    #[should_panic(expected = "stays open")]
    fn an_open_block_is_told() {
        expand("found/x", "<<b64>> <<id:1>>", 1);
    }
}
