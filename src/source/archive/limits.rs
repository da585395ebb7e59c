//! What an archive may cost. Archives come from strangers: each of these cuts
//! a bomb short, and none of them an archive that people have on their hosts.
//! What one of them cut is counted as a skip, with an example.

use std::time::Duration;

/// Compressed streams and archives that lie in one another, of any kind. The
/// configured depth counts archives alone, so that a `.tar.gz` is one.
pub(super) const MAX_LAYERS: usize = 16;

/// Members of one archive; an image of a whole distribution has 200,000.
pub(super) const MAX_MEMBERS: u64 = 2_000_000;

/// Bytes that may come out of all decompressors for one file, besides
/// [`MAX_GROWTH`] times its size.
pub(super) const MAX_INFLATED: u64 = 32 * 1024 * 1024 * 1024;

/// How often a file's own size may come out of it, however large it is.
pub(super) const MAX_GROWTH: u64 = 8;

/// Output for each byte of the file, once [`RATIO_FREE`] has come out of it.
/// Deflate cannot do more than 1,032; a file of zeros in xz does 7,000.
pub(super) const MAX_RATIO: u64 = 1_500;

/// Output that is not measured against the file's size.
pub(super) const RATIO_FREE: u64 = 64 * 1024 * 1024;

/// Time for one file and all that is in it.
pub(super) const MAX_TIME: Duration = Duration::from_mins(10);

/// Dictionaries that all the decompressors at work on one file may fill. A
/// stream that declares more is read up to here, since a dictionary can hold
/// no more than came out: small files packed with `xz -9` are read whole.
pub(super) const MAX_DICTIONARY: u64 = 16 * 1024 * 1024;

/// A dictionary that is declared larger than this is not even reserved.
pub(super) const MAX_DECLARED: u64 = 128 * 1024 * 1024;

/// Bytes kept of a member's name.
pub(super) const MAX_NAME: usize = 4096;

/// Bytes kept of the records that describe a tar member, or of an entry's
/// extra fields.
pub(super) const MAX_RECORDS: usize = 256 * 1024;

/// Stretches of a zip that belong to no entry and are looked at one by one.
pub(super) const MAX_GAPS: usize = 4096;

/// Buffer in front of each layer.
pub(super) const BUFFER: usize = 32 * 1024;
