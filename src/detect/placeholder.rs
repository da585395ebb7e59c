//! Texts in the shape of a key that stand for one: documented examples and
//! what people write where a key goes.

use super::entropy;

/// Words that documentation and templates put in place of a key. Each is long
/// enough that a random ID holds one in less than one of a million cases.
const WORDS: [&[u8]; 16] = [
    b"EXAMPLE",
    b"PLACEHOLD",
    b"ACCESSKEY",
    b"SECRETKEY",
    b"YOURKEY",
    b"YOURAWS",
    b"YOURACC",
    b"YOURSEC",
    b"INSERT",
    b"CHANGEME",
    b"REDACTED",
    b"DUMMYKEY",
    b"DUMMYDUMMY",
    b"SAMPLEKEY",
    b"XXXXX",
    b"NOTAREAL",
];

/// Entropy below which an ID is not random; none of 200,000 real ones was.
const MIN_ID_ENTROPY: f64 = 2.5;

/// Entropy below which the text of a token is not random: a hundred
/// random characters of base64 have more than five bits each.
const MIN_TOKEN_ENTROPY: f64 = 4.0;

/// Characters of an alphabet or a keyboard row in a row. A random ID holds
/// six in order once in 10^7.
const SEQUENCE_LEN: usize = 6;

/// The same at the start of a secret, and anywhere in it: that is longer, and
/// of both cases. With those words that count there, one random secret of 10^8
/// is taken for a placeholder.
const FIRST_SEQUENCE_LEN: usize = 7;
const LONG_SEQUENCE_LEN: usize = 9;

/// Letters of a word that may stand anywhere in a secret.
const LONG_WORD_LEN: usize = 7;

/// `X` of one case in a row that no secret has.
const CROSSES: [&[u8]; 2] = [b"XXXXXX", b"xxxxxx"];

/// For each alphabet, the character that follows each, or 0.
static SEQUENCES: [[u8; 256]; 6] = [
    followers(b"ABCDEFGHIJKLMNOPQRSTUVWXYZA"),
    followers(b"01234567890"),
    followers(b"98765432109"),
    followers(b"ZYXWVUTSRQPONMLKJIHGFEDCBA"),
    followers(b"QWERTYUIOPASDFGHJKLZXCVBNM"),
    followers(b"A1B2C3D4E5F6G7H8"),
];

/// Whether the 20 characters of an access key ID are a placeholder.
pub(super) fn is_placeholder_id(id: &[u8]) -> bool {
    let tail = &id[4..];
    let words = (0..id.len()).any(|at| word_at(id, at).is_some());
    let mut sequences = sequences(tail);
    entropy::shannon(id) < MIN_ID_ENTROPY || words || sequences.any(|(_, len)| len >= SEQUENCE_LEN)
}

/// Whether 40 characters in the shape of a secret are a placeholder.
pub(super) fn is_placeholder_secret(secret: &[u8]) -> bool {
    let upper = secret.to_ascii_uppercase();
    let is_word = |at: usize| {
        word_at(&upper, at)
            .is_some_and(|word| word.len() >= LONG_WORD_LEN || (at == 0 && word[0] != b'X'))
    };
    let (mut count, mut is_long) = (0, false);
    for (start, len) in sequences(&upper).filter(|(_, len)| *len >= SEQUENCE_LEN) {
        count += 1;
        is_long |= len >= LONG_SEQUENCE_LEN || (start == 0 && len >= FIRST_SEQUENCE_LEN);
    }
    let is_crossed_out = || CROSSES.iter().any(|crosses| contains(secret, crosses));
    is_long || count > 1 || (0..upper.len()).any(is_word) || is_crossed_out()
}

/// Whether the text of a token is one of documentation: AWS writes
/// `EXAMPLE` into those that it prints, others cross the middle out.
pub(super) fn is_placeholder_token(token: &[u8]) -> bool {
    entropy::shannon(token) < MIN_TOKEN_ENTROPY
        || [&b"EXAMPLE"[..], b"XXXXXXXX"]
            .iter()
            .any(|word| memchr::memmem::find(token, word).is_some())
}

// Both look at every candidate for a key, of which a file may hold nothing
// else: one pass over its characters each, and no searcher to be built.

/// The word of a placeholder that begins at `at`.
fn word_at(upper: &[u8], at: usize) -> Option<&'static [u8]> {
    let rest = &upper[at..];
    let is_here = |word: &&&[u8]| word[0] == rest[0] && rest.starts_with(word);
    WORDS.iter().find(is_here).copied()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Where characters of one alphabet or row stand in order, and how many.
fn sequences(upper: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    SEQUENCES.iter().flat_map(|follower| {
        let follows = |a: &u8, b: &u8| follower[usize::from(*a)] == *b;
        let mut start = 0;
        upper.chunk_by(follows).map(move |chunk| {
            start += chunk.len();
            (start - chunk.len(), chunk.len())
        })
    })
}

const fn followers(row: &[u8]) -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at + 1 < row.len() {
        table[row[at] as usize] = row[at + 1];
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_documentation_writes_is_a_placeholder() {
        for tail in [
            "IOSFODNN7EXAMPLE",
            "XXXXXXXXXXXXXXXX",
            "1234567890123456",
            "ABCDEFGHIJKLMNOP",
            "QQQQQQQQQQQQQQQQ",
            "QWERTYUIOP234567",
        ] {
            assert!(
                is_placeholder_id(format!("AKIA{tail}").as_bytes()),
                "{tail}"
            );
        }
        assert!(is_placeholder_secret(
            b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        ));
        assert!(is_placeholder_secret(
            b"abcdefghijklmnopqrstuvwxyz0123456789ABCD"
        ));
    }

    #[test]
    fn random_ids_are_not() {
        assert!(!is_placeholder_id(
            &[b"ASIA".as_slice(), b"Y34FZKBOKMUTVV7A"].concat()
        ));
        let mut random = fastrand::Rng::with_seed(7);
        let lost = (0..20_000)
            .filter(|_| {
                let id: Vec<u8> = b"AKIA"
                    .iter()
                    .copied()
                    .chain(
                        (0..16)
                            .map(|_| random.choice(*b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").unwrap()),
                    )
                    .collect();
                is_placeholder_id(&id)
            })
            .count();
        assert_eq!(lost, 0);
    }
}
