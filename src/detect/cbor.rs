//! CBOR: the head of a text, which tells its length, is a letter where the text
//! is short, and stands right before it: <https://www.rfc-editor.org/rfc/rfc8949>.

/// Bytes before a text in which the head of its array or map is looked for.
const REACH: usize = 1024;

/// Heads that turn out to lead elsewhere, after which no more are tried.
const MAX_HEADS: usize = 16;

/// Whether the `len` bytes at `at` are a text in an array or a map.
pub(super) fn is_text(bytes: &[u8], at: usize, len: usize) -> bool {
    let head = match (len, &bytes[..at]) {
        (0..24, [.., kind]) if usize::from(*kind) == 0x60 + len => at - 1,
        (24..256, [.., 0x78, count]) if usize::from(*count) == len => at - 2,
        _ => return false,
    };
    let end = at + len;
    // What follows is an item as well, or the end of all.
    let is_ended = end == bytes.len() || (end < bytes.len() && next(bytes, end).is_some());
    is_ended
        && (head.saturating_sub(REACH)..head)
            .rev()
            .filter(|start| is_container(bytes, *start))
            .take(MAX_HEADS)
            .any(|start| leads_to(bytes, start, head))
}

/// Whether an array or a map may begin at `at`, and no character of UTF-8 goes
/// on there.
fn is_container(bytes: &[u8], at: usize) -> bool {
    let in_character = at > 0 && matches!(bytes[at - 1], 0x80..=0xf4);
    matches!(bytes[at], 0x80..=0xbf) && !in_character
}

/// Whether one of the items from `start` on begins at `to`.
fn leads_to(bytes: &[u8], start: usize, to: usize) -> bool {
    let mut at = start;
    while at < to {
        let Some(end) = next(bytes, at) else {
            return false;
        };
        at = end;
    }
    at == to
}

/// Where the item behind the one at `at` begins; what an array, a map or a tag
/// holds are items behind it.
fn next(bytes: &[u8], at: usize) -> Option<usize> {
    let head = *bytes.get(at)?;
    let count = match head & 0x1f {
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        28..=30 => return None,
        _ => 0,
    };
    let body = at + 1 + count;
    let argument = bytes.get(at + 1..body)?;
    let value = match count {
        0 => u64::from(head & 0x1f),
        _ => argument.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
    };
    // Where the length is open, parts follow.
    let is_open = head & 0x1f == 31;
    let end = match head >> 5 {
        2 | 3 if !is_open => body.checked_add(usize::try_from(value).ok()?)?,
        _ => body,
    };
    (end <= bytes.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Detector;
    use crate::detect::glyph;

    fn text(text: &str) -> Vec<u8> {
        let len = u8::try_from(text.len()).unwrap();
        let head = if len < 24 {
            vec![0x60 + len]
        } else {
            vec![0x78, len]
        };
        [head, text.as_bytes().to_vec()].concat()
    }

    #[test]
    fn a_key_is_found_whatever_heads_are_beside_it() {
        let mut random = fastrand::Rng::with_seed(6);
        let alphabet: Vec<u8> = (0..=255).filter(|byte| glyph::is_base64(*byte)).collect();
        let detector = Detector::new(4);
        let rows: [&[&str]; 9] = [
            &["ID", "SECRET"],
            &["SECRET", "ID"],
            &["secret", "SECRET", "id", "ID"],
            &["id", "ID", "region", "eu-west-1", "secret", "SECRET"],
            &[
                "AWS_ACCESS_KEY_ID",
                "ID",
                "zone",
                "b",
                "AWS_SECRET_ACCESS_KEY",
                "SECRET",
            ],
            &["id", "ID", "secret", "SECRET", "zone", "b"],
            &["secret", "SECRET", "zone", "b", "id", "ID", "name", "alice"],
            &["SECRET", "x", "ID", "abcdefghijklmnopqrstuvw"],
            &["ID", "SECRET", "abcdefghijklmnopqrstuvw"],
        ];
        for _ in 0..50 {
            for row in rows {
                let mut pick = |alphabet: &[u8], count: usize| -> String {
                    let pick = |_| char::from(alphabet[random.usize(..alphabet.len())]);
                    (0..count).map(pick).collect()
                };
                let id = format!("AKIAQ{}", pick(b"QRSTUVWXYZ234567", 15));
                let secret = pick(&alphabet, 40);
                let values = row.iter().flat_map(|value| match *value {
                    "ID" => text(&id),
                    "SECRET" => text(&secret),
                    other => text(other),
                });
                let mut bytes = vec![0x80 + u8::try_from(row.len()).unwrap()];
                bytes.extend(values);
                let found = detector.scan(&bytes).matches;
                let values: Vec<_> = found
                    .iter()
                    .map(|found| (found.access_key_id.is_some(), found.secret.as_ref()))
                    .map(|(has_id, value)| (has_id, value.map(|value| value.expose().to_vec())))
                    .collect();
                assert_eq!(values, [(true, Some(secret.into_bytes()))], "{row:?}");
                // In text the same letters are no heads.
                let at = memchr::memmem::find(&bytes, id.as_bytes()).unwrap();
                assert!(is_text(&bytes, at, id.len()), "{row:?}");
                bytes[0] = b' ';
                assert!(!is_text(&bytes, at, id.len()), "{row:?}");
            }
        }
    }
}
