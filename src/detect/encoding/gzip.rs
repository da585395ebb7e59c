//! Gzip inside an encoded text, as cloud-init's user-data carries it.

use std::io::Read as _;

/// Bytes kept of an inflated text; user-data has at most 16 KiB before it.
const MAX_INFLATED: u64 = 4 * 1024 * 1024;

pub(in crate::detect) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// What inflates, up to the limit or to the first damage.
pub(in crate::detect) fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    // Damage ends the text; what came before it counts.
    let _ = flate2::read::MultiGzDecoder::new(bytes)
        .take(MAX_INFLATED)
        .read_to_end(&mut inflated);
    inflated
}
