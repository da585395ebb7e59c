//! Records of `SQLite`: the types of the columns in a head, then the columns,
//! without a mark between them: <https://www.sqlite.org/fileformat2.html>.

use zeroize::Zeroizing;

use crate::detect::encoding::Encoding;

/// How the texts of a database are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// `None` for UTF-8.
    pub(super) encoding: Option<Encoding>,
    /// Bytes of a character.
    pub(super) width: usize,
    /// Where in these the low byte is.
    pub(super) low: usize,
}

impl Text {
    pub(super) const UTF8: Self = Self {
        encoding: None,
        width: 1,
        low: 0,
    };

    pub(super) const UTF16: [Self; 2] = [
        Self {
            encoding: Some(Encoding::Utf16Le),
            width: 2,
            low: 0,
        },
        Self {
            encoding: Some(Encoding::Utf16Be),
            width: 2,
            low: 1,
        },
    ];

    /// The characters in these bytes; `?` for those that keys and names have not.
    pub(super) fn read(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        let character = |unit: &[u8]| {
            let rest: u8 = unit.iter().fold(0, |all, byte| all | byte);
            let low = unit[self.low];
            if rest == low { low } else { b'?' }
        };
        let units = bytes.chunks_exact(self.width);
        Zeroizing::new(units.map(character).collect())
    }
}

/// A column of a record, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) start: usize,
    pub(super) len: usize,
    /// Text, and no number.
    pub(super) is_text: bool,
}

impl Column {
    pub(super) fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        bytes.get(self.start..self.start.checked_add(self.len)?)
    }
}

/// The columns of the record whose head begins at `head`, if it is one and the
/// column over `at` is the one that is wanted. The last ones may lie behind
/// what there is of it.
pub(super) fn columns(
    bytes: &[u8],
    head: usize,
    at: usize,
    is_wanted: impl Fn(Column) -> bool,
) -> Option<Vec<Column>> {
    // A head longer than this has more columns than tables have.
    const LONGEST: usize = 0x7f;
    let len = usize::from(bytes[head]);
    let body = head + len;
    if !(2..=LONGEST).contains(&len) || body > at {
        return None;
    }
    let types = &bytes[head + 1..body];
    let (mut end, mut is_found) = (body, false);
    for column in in_order(types, body) {
        let column = column?;
        end = column.start.checked_add(column.len)?;
        // What takes no room, as NULL does, may stand at the same place.
        if !is_found && end > at {
            if !is_wanted(column) {
                return None;
            }
            is_found = true;
        }
    }
    let is_record = is_found && is_told(&bytes[..head], end - head);
    is_record.then(|| in_order(types, body).flatten().collect())
}

/// The columns of these types, from `start` on; `None` for what is no type.
fn in_order(types: &[u8], start: usize) -> impl Iterator<Item = Option<Column>> {
    let mut rest = Some((types, start));
    std::iter::from_fn(move || {
        let (types, start) = rest.take()?;
        if types.is_empty() {
            return None;
        }
        let next = || {
            let (kind, types) = varint(types)?;
            let len = size(kind)?;
            let column = Column {
                start,
                len,
                is_text: kind >= 12,
            };
            Some((column, (types, start.checked_add(len)?)))
        };
        let (column, behind) = next().unzip();
        rest = behind;
        Some(column)
    })
}

/// Whether the length of a record stands before it, and between the two the
/// number of its row, if it has one.
fn is_told(before: &[u8], len: usize) -> bool {
    const LONGEST_NUMBER: usize = 9;
    (0..=LONGEST_NUMBER.min(before.len())).any(|count| {
        let (before, number) = before.split_at(before.len() - count);
        let is_number = varint(number).is_some_and(|(_, rest)| rest.is_empty());
        (count == 0 || is_number) && ends_in(before, len)
    })
}

/// Whether the bytes end in this number.
fn ends_in(bytes: &[u8], number: usize) -> bool {
    let mut left = number;
    for (at, byte) in bytes.iter().rev().enumerate() {
        let part = usize::from(byte & 0x7f);
        if part != left & 0x7f || (byte & 0x80 != 0) != (at > 0) {
            return false;
        }
        left >>= 7;
        if left == 0 {
            return true;
        }
    }
    false
}

/// A number in groups of seven bits, the highest first, and what follows it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some((number << 8 | u64::from(*byte), &bytes[at + 1..]));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

/// Bytes of a value of this type.
fn size(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        kind => usize::try_from((kind - 12) / 2).ok(),
    }
}
