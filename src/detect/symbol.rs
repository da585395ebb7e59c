//! Names that compilers give to functions: string tables of programs are full
//! of them, and some stand beside a word for a secret.

/// Bytes before a part of a name in which it begins.
const REACH: usize = 256;

/// Whether the text at `at` is part of a mangled name: of C++, `_ZNK5arrow2fs…`
/// (<https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling>), or of Rust,
/// `_RNvNtCs…`.
pub(super) fn is_mangled(bytes: &[u8], at: usize) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_$.".contains(byte);
    let before = bytes[at.saturating_sub(REACH)..at].iter().rev();
    let name = &bytes[at - before.take_while(is_part).count()..];
    let name = name
        .strip_prefix(b"_")
        .filter(|name| name.starts_with(b"_"))
        .unwrap_or(name);
    match name {
        [b'_', b'Z', rest @ ..] => is_of_cpp(rest),
        [b'_', b'R', b'I', b'N', kind, ..] | [b'_', b'R', b'N', kind, ..] => {
            b"CMXYIkvt".contains(kind)
        }
        _ => false,
    }
}

/// Whether an identifier with its length before it comes next, behind letters
/// that say what it is in.
fn is_of_cpp(rest: &[u8]) -> bool {
    const MAX_LETTERS: usize = 5;
    let is_letter = |byte: &&u8| byte.is_ascii_alphabetic();
    let letters = rest.iter().take_while(is_letter).count();
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let digits = rest[letters..].iter().take_while(is_digit).count();
    let number = std::str::from_utf8(&rest[letters..letters + digits]);
    let len = number.ok().and_then(|number| number.parse::<usize>().ok());
    let identifier = len.and_then(|len| rest.get(letters + digits..)?.get(..len));
    letters <= MAX_LETTERS
        && identifier.is_some_and(|text| {
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            text.len() > 1 && text.iter().all(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mangled_name_is_told_from_a_word_with_an_underscore() {
        for (name, at) in [
            ("_ZN5arrow2fs9S3Options12GetSecretKeyB5cxx11Ev", 1),
            ("\0_ZNK5arrow2fs14S3ProxyOptions6EqualsERKS1_", 2),
            ("__ZNSt6vectorIiE_9push_backEv", 17),
            ("_Z12GetSecretKeyv", 1),
            ("_RNvNtCs1234_7mycrate3foo", 13),
        ] {
            assert!(is_mangled(name.as_bytes(), at), "{name}");
        }
        for (name, at) in [
            ("KEY_ZN5arrow2fs9S3Options12GetSecretKeyB5cxx11Ev", 4),
            ("_Zebra12", 1),
            ("_ZN99short", 1),
            ("_Region_of", 1),
            ("", 0),
        ] {
            assert!(!is_mangled(name.as_bytes(), at), "{name}");
        }
    }
}
