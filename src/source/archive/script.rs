//! Installers: a shell script with a compressed archive right behind its last
//! line, as makeself and many a vendor write them.

use std::io::{self, BufRead as _};

use super::input::Input;
use super::kind;
use super::limits::BUFFER;
use super::place::Place;
use super::walk::{Level, Walk};

/// Whether a script that begins with `head` has one of those behind it, whose
/// beginning is in sight.
pub(super) fn has_archive(head: &[u8]) -> bool {
    let head = &head[..head.len().min(BUFFER)];
    head.starts_with(b"#!")
        && memchr::memchr_iter(b'\n', head).any(|end| kind::is_stream(&head[end + 1..]))
}

/// Looks at the script, and into what is behind it.
pub(super) fn walk(
    walk: &Walk<'_>,
    place: &Place<'_>,
    input: &mut Input<'_>,
    level: Level,
) -> io::Result<()> {
    let mut script = Vec::new();
    while script.is_empty() || !kind::is_stream(input.peek(kind::HEAD)?) {
        if input.read_until(b'\n', &mut script)? == 0 {
            break;
        }
    }
    walk.visit(place, &mut script.as_slice())?;
    walk.behind(place, input, level)
}
