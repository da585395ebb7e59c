//! From byte offsets to the lines and columns that people look for.

use super::error::Place;

/// A text and where its lines begin, for a file can have many entries.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    /// From 1.
    pub(super) fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    pub(super) fn place(&self, file: &str, offset: usize) -> Place {
        let line = self.number(offset);
        let before = self.text.get(self.starts[line - 1]..offset);
        Place {
            file: file.into(),
            line,
            column: before.map_or(0, |before| before.chars().count()) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_and_in_characters() {
        let text = "ab\n\u{e4}c\r\n\nd";
        let lines = Lines::new(text);
        for (offset, at) in [
            (0, "f:1:1"),
            (2, "f:1:3"),
            (3, "f:2:1"),
            (5, "f:2:2"),
            (8, "f:3:1"),
            (text.len(), "f:4:2"),
        ] {
            assert_eq!(lines.place("f", offset).to_string(), at);
        }
    }
}
