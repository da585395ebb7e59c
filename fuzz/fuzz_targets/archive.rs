//! The archive reader on any bytes: it ends, it does not panic, and what comes
//! out is bounded by what went in.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use rolecall::finding::{Coverage, Location, SourceKind};
use rolecall::source::archive::{self, Outcome, Settings};
use rolecall::source::{Blob, Origin, Visitor};

/// What may come out of an input: the free share and the largest ratio.
const MOST: u64 = 64 * 1024 * 1024 + 1_500 * MAX_INPUT;

/// Twice what the fuzzer is told to make.
const MAX_INPUT: u64 = 128 * 1024;

struct Nowhere;

impl Origin for Nowhere {
    fn location(&self) -> Location {
        Location::new(SourceKind::File)
    }
}

/// Reads all, and asks for the place of each.
#[derive(Default)]
struct Reader {
    bytes: u64,
    blobs: u64,
}

impl Visitor for Reader {
    fn visit(&mut self, blob: Blob<'_>, coverage: &mut Coverage) -> io::Result<()> {
        let _ = blob.origin.location();
        self.blobs += 1;
        let count = io::copy(blob.content, &mut io::sink());
        self.bytes += count.as_ref().copied().unwrap_or(0);
        coverage.scanned += 1;
        count.map(drop)
    }

    fn is_over(&self) -> bool {
        false
    }

    fn found(&self) -> u64 {
        0
    }
}

fuzz_target!(|input: &[u8]| {
    let settings = Settings { max_depth: 4 };
    let size = input.len() as u64;
    if size > MAX_INPUT || !(archive::at_start(input) || archive::at_end(input)) {
        return;
    }
    let mut placed = Reader::default();
    let mut coverage = Coverage::new(SourceKind::Archive);
    let outcome = archive::read_bytes(input, &Nowhere, settings, &mut placed, &mut coverage);
    let outcome = outcome.expect("memory can be read and nobody stops");
    // What is not told as read is told as left out.
    assert!(outcome == Outcome::Read || coverage.skips().next().is_some());
    assert!(placed.bytes <= MOST + size * 64, "{}", placed.bytes);

    let mut streamed = Reader::default();
    let mut coverage = Coverage::new(SourceKind::Archive);
    let mut content = input;
    let outcome = archive::read_stream(
        &mut content,
        size,
        &Nowhere,
        settings,
        &mut streamed,
        &mut coverage,
    );
    let outcome = outcome.expect("memory can be read and nobody stops");
    assert!(outcome == Outcome::Read || coverage.skips().next().is_some());
    assert!(streamed.bytes <= MOST + size * 64, "{}", streamed.bytes);
});
