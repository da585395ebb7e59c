//! What holds for any key in any surroundings: it is found, in its place and
//! with its secret, plain and encoded, however the bytes arrive. And what
//! holds for any bytes: they do no harm.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::slice::from_ref;
use std::sync::LazyLock;

use base64::prelude::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use rolecall::detect::{Detection, Detector, Known, Match, Scanner};
use rolecall::finding::{AccessKeyId, Rule};
use rolecall::secret::Secret;

use crate::support::corpus;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new(4));

/// A few cases of each property in every run, the same ones each time: one
/// random secret of ten thousand does not look random, which is known and
/// must not fail a build. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` ask for
/// more and for others.
fn cases(few: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = few;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(20_260_301);
    }
    config.failure_persistence = None;
    config
}

/// A text with one key in it.
#[derive(Debug, Clone)]
struct Planted {
    text: Vec<u8>,
    id: String,
    secret: String,
    /// Where the ID starts.
    at: usize,
}

/// Asserts that the key, and nothing else, is told at this place.
fn assert_found(planted: &Planted, detection: &Detection, place: (u64, u64)) {
    let [found] = &detection.matches[..] else {
        panic!("{:?}", detection.matches);
    };
    assert_eq!(found.rule, Rule::AccessKeyPair);
    let id = found.access_key_id.as_ref().map(AccessKeyId::as_str);
    assert_eq!(id, Some(planted.id.as_str()));
    let secret = found.secret.as_ref().and_then(Secret::expose_str);
    assert_eq!(secret, Some(planted.secret.as_str()));
    assert_eq!((found.line.unwrap(), found.column.unwrap()), place);
}

/// Line and column of a place in a text.
fn place_in(text: &[u8], at: usize) -> (u64, u64) {
    let before = &text[..at];
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let start = before.iter().rposition(|byte| *byte == b'\n');
    let column = 1 + at - start.map_or(0, |end| end + 1);
    (line as u64, column as u64)
}

fn key() -> impl Strategy<Value = (String, String)> {
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of = |alphabet: &'static [u8], len: usize| {
        prop::collection::vec(select(alphabet), len)
            .prop_map(|text| String::from_utf8(text).expect("ASCII"))
    };
    // A key made simple would be no key.
    (of(BASE32, 15), of(BASE64, 40))
        .prop_map(|(tail, secret)| (format!("{}Q{tail}", concat!("AK", "IA")), secret))
        .no_shrink()
}

/// Words and lines, in several alphabets.
fn text() -> impl Strategy<Value = Vec<u8>> {
    "([a-z]{1,9}|[0-9]{1,4}|[а-я]{1,9}|[ぁ-ん]{1,5}|[ =:;,.\"'{}\n\t-]{1,3}){0,40}"
        .prop_map(String::into_bytes)
}

fn ascii() -> impl Strategy<Value = Vec<u8>> {
    "([a-z]{1,9}|[0-9]{1,4}|[ =:;,.\"'{}\n\t-]{1,3}){0,40}".prop_map(String::into_bytes)
}

fn binary() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

/// A part of a credential, or what could be taken for one.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let whole = key().prop_map(|(id, secret)| format!("{id}\n{secret}\n"));
    let id = key().prop_map(|(id, _)| id);
    let secret = key().prop_map(|(_, secret)| secret);
    let part = (key(), 4usize..20).prop_map(|((id, _), len)| id[..len].to_owned());
    let half = key().prop_map(|(_, secret)| secret[..20].to_owned());
    // One half of a key, whose name says whose.
    let owner = select(vec!["", "PROD_", "BACKUP_"]);
    let setting = (key(), owner, any::<bool>()).prop_map(|((id, secret), owner, is_id)| {
        if is_id {
            format!("{owner}AWS_ACCESS_KEY_ID={id}\n")
        } else {
            format!("{owner}AWS_SECRET_ACCESS_KEY={secret}\n")
        }
    });
    // Long enough for a probe to land in it wherever it stands.
    let encoded = (key(), 0usize..300).prop_map(|((_, secret), before)| {
        let before = "words, ".repeat(100 + before);
        BASE64_STANDARD.encode(format!("{before}aws_secret_access_key={secret}\n{before}"))
    });
    let mark = select(vec![
        "aws_secret_access_key = ",
        "secret_key: \"",
        "the secret of ",
        "Access",
        "key",
        "aws",
        "secret",
        "SECRET",
        "\" + \"",
        "{",
        "\n",
        "\n\n",
        "\"",
        "\0",
        "QUtJQ",
        "H4sI",
        "\\x41",
        concat!("AK", "IA", "IOSFODNN7", "EXAMPLE"),
    ]);
    let filler = (0usize..400).prop_map(|count| "filler\n".repeat(count));
    prop_oneof![
        1 => whole,
        1 => id,
        1 => secret,
        1 => part,
        1 => half,
        1 => encoded,
        3 => setting,
        6 => mark.prop_map(ToOwned::to_owned),
        6 => filler,
    ]
    .prop_map(String::into_bytes)
    .no_shrink()
}

/// A key between two texts, with a character around each part that belongs to
/// neither.
fn planted<S>(surroundings: impl Fn() -> S) -> impl Strategy<Value = Planted>
where
    S: Strategy<Value = Vec<u8>>,
{
    let left = select(b" \"'=:,;\n\t(<[|>@_".as_slice());
    let right = select(b" \"',;\n\t)>]|".as_slice());
    let between = select(
        [
            "\n",
            " ",
            ":",
            ",",
            "\t",
            "\", \"",
            "\r\n",
            "\nsecret_key = ",
            "\nAWS_SECRET_ACCESS_KEY=\"",
            "', aws_secret_access_key='",
            "</id>\n  <secret>",
        ]
        .as_slice(),
    );
    let parts = (surroundings(), left, key(), between, right, surroundings());
    parts.prop_map(|(mut before, left, (id, secret), between, right, after)| {
        before.push(left);
        let at = before.len();
        let text = [
            &before,
            id.as_bytes(),
            between.as_bytes(),
            secret.as_bytes(),
            &[right],
            &after,
        ]
        .concat();
        Planted {
            text,
            id,
            secret,
            at,
        }
    })
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_key_in_text_is_found_in_its_place(planted in planted(text)) {
        let place = place_in(&planted.text, planted.at);
        assert_found(&planted, &DETECTOR.scan(&planted.text), place);
    }

    /// What was cut out around the key's start comes back as a change.
    #[test]
    fn a_key_in_memory_is_found_where_only_changes_are_searched(
        planted in planted(text),
        before in 0usize..24,
        len in 0usize..48,
    ) {
        let text = &planted.text;
        let start = planted.at.saturating_sub(before).min(planted.at + 3);
        let end = (start + len).min(text.len());
        let all = 0..text.len();
        let base = [&text[..start], &text[end..]].concat();
        let mut scanner = Scanner::new(&DETECTOR);
        let (_, known) = scanner.examine(&base, from_ref(&(0..base.len())), 0);
        let (changes, reach) = match known {
            Some(Known::Nothing { reach }) => (start..end, reach),
            _ => (all, 0),
        };
        let (found, _) = scanner.examine(text, from_ref(&changes), reach);
        assert_found(&planted, &found, place_in(text, planted.at));
        prop_assert_eq!(told(&found), told(&DETECTOR.scan(text)));
    }

    /// Each version is made from the one before, as the deltas of a pack are,
    /// of what a credential consists of and what it is taken for.
    #[test]
    fn versions_of_a_text_give_what_each_of_them_gives_alone(
        first in prop::collection::vec(piece(), 0..8),
        edits in prop::collection::vec(
            (any::<Index>(), 0usize..200, prop::collection::vec(piece(), 0..3)),
            1..8,
        ),
    ) {
        let mut scanner = Scanner::new(&DETECTOR);
        let mut text = first.concat();
        let (_, mut known) = scanner.examine(&text, from_ref(&(0..text.len())), 0);
        for (at, cut, pieces) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + cut).min(text.len());
            let new = pieces.concat();
            let changed = start..start + new.len();
            let moved = |(at, number): (usize, u8)| match at {
                at if at < start => Some((at, number)),
                at if at >= end => Some((at - end + changed.end, number)),
                _ => None,
            };
            text.splice(start..end, new);
            let all = 0..text.len();
            let alone = told(&DETECTOR.scan(&text));
            let found;
            (found, known) = match known {
                Some(Known::Spots(spots)) => {
                    let spots: Vec<_> = spots.into_iter().filter_map(moved).collect();
                    scanner.examine_again(&text, from_ref(&changed), &spots)
                }
                Some(Known::Nothing { reach }) => {
                    if scanner.passes(&text, from_ref(&changed), reach) {
                        prop_assert_eq!(&told(&Detection::default()), &alone);
                    }
                    scanner.examine(&text, from_ref(&changed), reach)
                }
                None => scanner.examine(&text, from_ref(&all), 0),
            };
            prop_assert_eq!(told(&found), alone);
        }
    }

    #[test]
    fn a_key_in_binary_data_is_found_in_its_place(planted in planted(binary)) {
        let place = place_in(&planted.text, planted.at);
        assert_found(&planted, &DETECTOR.scan(&planted.text), place);
    }

    #[test]
    fn a_key_in_base64_is_found_at_every_alignment(
        planted in planted(binary),
        before in prop::collection::vec(any::<u8>(), 0..3),
        urlsafe: bool,
    ) {
        let text = [&before[..], &planted.text].concat();
        let encoded = if urlsafe {
            BASE64_URL_SAFE_NO_PAD.encode(&text)
        } else {
            BASE64_STANDARD.encode(&text)
        };
        let blob = format!("data: {encoded}\n");
        let at = "data: ".len() + (before.len() + planted.at) * 4 / 3;
        assert_found(&planted, &DETECTOR.scan(blob.as_bytes()), (1, at as u64 + 1));
    }

    /// Characters that look like an encoded prefix, or like gzip, at another
    /// alignment hide nothing.
    #[test]
    fn a_key_in_base64_is_found_behind_false_starts(
        planted in planted(binary),
        start in select(
            [
                concat!("FL", "SU"),
                concat!("FT", "SUA"),
                concat!("QUt", "JQ"),
                concat!("BS0", "lB"),
                concat!("H4", "sI"),
            ]
            .as_slice(),
        ),
        noise in "[A-Za-z0-9+/]{3,60}",
    ) {
        let encoded = BASE64_STANDARD.encode(&planted.text);
        for shift in 0..4 {
            let start = format!("{}{start}{noise}", "v".repeat(shift));
            // Whole groups, so that the rest keeps its alignment.
            let start = &start[..start.len() / 4 * 4];
            let blob = format!("{start}{encoded}");
            let detection = DETECTOR.scan(blob.as_bytes());
            let at = start.len() + planted.at * 4 / 3;
            assert_found(&planted, &detection, (1, at as u64 + 1));
        }
    }

    #[test]
    fn a_key_in_wrapped_base64_is_found(
        planted in planted(ascii),
        before in "[a-z]{0,2}",
        width in select([48usize, 60, 64, 72, 76].as_slice()),
        end in select(["\n", "\r\n", "\n    "].as_slice()),
    ) {
        let text = [before.as_bytes(), &planted.text].concat();
        let encoded = BASE64_STANDARD.encode(&text);
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(width)
            .map(|line| std::str::from_utf8(line).expect("ASCII"))
            .collect();
        let blob = lines.join(end);
        let at = (before.len() + planted.at) * 4 / 3;
        let at = at + at / width * end.len();
        let place = place_in(blob.as_bytes(), at);
        assert_found(&planted, &DETECTOR.scan(blob.as_bytes()), place);
    }

    #[test]
    fn a_key_in_base64_in_base64_is_found(
        planted in planted(ascii),
        before in select(["", "/", "--", "0x", "\\x", "\\t", "ab/"].as_slice()),
    ) {
        let encoded = BASE64_STANDARD.encode(BASE64_STANDARD.encode(&planted.text));
        let blob = format!("{before}{encoded}");
        let at = before.len() + planted.at * 4 / 3 * 4 / 3;
        assert_found(&planted, &DETECTOR.scan(blob.as_bytes()), (1, at as u64 + 1));
    }

    #[test]
    fn a_key_in_hexadecimal_is_found(planted in planted(binary), upper: bool) {
        let blob = each(&planted.text, |byte| {
            if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }
        });
        let at = planted.at * 2;
        assert_found(&planted, &DETECTOR.scan(blob.as_bytes()), (1, at as u64 + 1));
    }

    #[test]
    fn a_key_in_utf16_is_found(planted in planted(ascii), big: bool, mark: bool) {
        let mut units: Vec<u16> = if mark { vec![0xfeff] } else { Vec::new() };
        units.extend(planted.text.iter().map(|byte| u16::from(*byte)));
        let order = if big { u16::to_be_bytes } else { u16::to_le_bytes };
        let blob: Vec<u8> = units.into_iter().flat_map(order).collect();
        // The low byte is what is told: in text it is the character.
        let at = (planted.at + usize::from(mark)) * 2 + usize::from(big);
        assert_found(&planted, &DETECTOR.scan(&blob), place_in(&blob, at));
    }

    #[test]
    fn a_key_that_is_escaped_throughout_is_found(
        planted in planted(ascii),
        (open, digits, close) in select(
            [("%", 2, ""), ("\\x", 2, ""), ("\\u", 4, ""), ("\\\\u", 4, ""), ("&#x", 2, ";")]
                .as_slice(),
        ),
        upper: bool,
    ) {
        let blob = each(&planted.text, |byte| {
            if upper {
                format!("{open}{byte:0digits$X}{close}")
            } else {
                format!("{open}{byte:0digits$x}{close}")
            }
        });
        let at = planted.at * (open.len() + digits + close.len());
        assert_found(&planted, &DETECTOR.scan(blob.as_bytes()), (1, at as u64 + 1));
    }

    #[test]
    fn bytes_do_no_harm(bytes in binary(), sizes in sizes(64)) {
        assert_pieces_agree(&bytes, &sizes);
    }

    #[test]
    fn parts_of_the_corpus_do_no_harm(parts in parts(), sizes in sizes(400)) {
        let blob: Vec<u8> = parts
            .iter()
            .flat_map(|(specimen, range)| &specimen.bytes[range.clone()])
            .copied()
            .collect();
        assert_pieces_agree(&blob, &sizes);
    }
}

proptest! {
    #![proptest_config(cases(10))]

    /// Three mebibytes take the detector's window several moves.
    #[test]
    fn a_key_in_a_long_blob_is_found_however_it_is_read(
        planted in planted(ascii),
        at in 0usize..3 * 1024 * 1024,
        sizes in sizes(128 * 1024),
        encoded: bool,
    ) {
        const LEN: usize = 3 * 1024 * 1024;
        let (key, offset) = if encoded {
            (BASE64_STANDARD.encode(&planted.text).into_bytes(), planted.at * 4 / 3)
        } else {
            (planted.text.clone(), planted.at)
        };
        let mut blob: Vec<u8> = b"a line of a long file: nothing\n"
            .iter()
            .copied()
            .cycle()
            .take(LEN)
            .collect();
        blob.splice(at..at, [b"\n", &key[..], b"\n"].concat());
        let place = place_in(&blob, at + 1 + offset);
        assert_found(&planted, &in_pieces(&blob, &sizes), place);
    }
}

fn each(text: &[u8], escape: impl Fn(u8) -> String) -> String {
    text.iter().copied().map(escape).collect()
}

/// Sizes of the pieces in which a blob arrives, again and again.
fn sizes(most: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..=most, 1..8)
}

/// Slices of files of the corpus.
fn parts() -> impl Strategy<Value = Vec<(&'static corpus::Specimen, Range<usize>)>> {
    static CORPUS: LazyLock<Vec<corpus::Specimen>> = LazyLock::new(|| {
        let mut specimens = corpus::specimens(3);
        specimens.retain(|specimen| specimen.bytes.len() < 64 * 1024);
        specimens
    });
    let part = (any::<Index>(), any::<Index>(), 1usize..2000).prop_map(|(which, from, len)| {
        let specimen = which.get(&CORPUS);
        let from = from.index(specimen.bytes.len() + 1);
        let to = specimen.bytes.len().min(from + len);
        (specimen, from..to)
    });
    prop::collection::vec(part, 1..4)
}

fn in_pieces(blob: &[u8], sizes: &[usize]) -> Detection {
    let mut scanner = Scanner::new(&DETECTOR);
    let mut sizes = sizes.iter().cycle();
    let mut rest = blob;
    while !rest.is_empty() {
        let space = scanner.space();
        let size = sizes.next().map_or(1, |size| *size);
        let (piece, behind) = rest.split_at(size.min(rest.len()).min(space.len()));
        space[..piece.len()].copy_from_slice(piece);
        scanner.advance(piece.len());
        rest = behind;
    }
    scanner.finish()
}

fn told(detection: &Detection) -> Vec<String> {
    let told = |found: &Match| {
        let secret = found.secret.as_ref().map(Secret::expose);
        format!("{found:?} {secret:?}")
    };
    detection.matches.iter().map(told).collect()
}

fn assert_pieces_agree(blob: &[u8], sizes: &[usize]) {
    let (whole, pieces) = (DETECTOR.scan(blob), in_pieces(blob, sizes));
    assert_eq!(told(&whole), told(&pieces));
    assert_eq!(whole.excess, pieces.excess);
}

/// Writes the corpus where `ROLECALL_SEEDS` says, for the fuzzer to start
/// from; see `fuzz/README.md`.
#[test]
#[ignore = "writes files for the fuzzer"]
fn seeds() {
    let folder = std::env::var_os("ROLECALL_SEEDS").expect("ROLECALL_SEEDS names a folder");
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("a folder");
    for specimen in corpus::specimens(5) {
        if specimen.bytes.len() <= 16 * 1024 {
            // What the fuzz target reads before the text: sizes of pieces.
            let seed = [&[7, 64, 255, 1, 33, 128, 0, 0], &specimen.bytes[..]].concat();
            let name = specimen.path.replace('/', "_");
            fs::write(folder.join(name), seed).expect("a file");
        }
    }
}
