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
const SEQUENCE_LEN: u8 = 6;

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
    entropy::shannon(id) < MIN_ID_ENTROPY || has_word(id) || has_sequence(tail)
}

/// Whether 40 characters in the shape of a secret are a placeholder.
pub(super) fn is_placeholder_secret(secret: &[u8]) -> bool {
    let upper = secret.to_ascii_uppercase();
    has_word(&upper) || has_sequence(&upper)
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

fn has_word(upper: &[u8]) -> bool {
    (0..upper.len()).any(|at| {
        let rest = &upper[at..];
        WORDS
            .iter()
            .any(|word| word[0] == rest[0] && rest.starts_with(word))
    })
}

fn has_sequence(upper: &[u8]) -> bool {
    SEQUENCES.iter().any(|follower| {
        let mut run = 1;
        upper.windows(2).any(|pair| {
            let follows = follower[usize::from(pair[0])] == pair[1];
            run = if follows { run + 1 } else { 1 };
            run == SEQUENCE_LEN
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
