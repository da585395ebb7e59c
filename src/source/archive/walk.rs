//! The way down: what a stretch of bytes is, who reads it, what it may cost,
//! and what becomes of damage.
//!
//! An error has to travel up through decoders that know nothing of it. So the
//! one that is at fault notes the layer that is broken and why, and returns
//! any error; on the way up, the first layer that is not below the broken one
//! takes the note, counts it and goes on.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead as _, Read};
use std::time::Instant;

use super::input::{Input, Section};
use super::kind::{self, Codec, Container, Kind};
use super::limits::{
    BUFFER, MAX_GROWTH, MAX_INFLATED, MAX_LAYERS, MAX_RATIO, MAX_TIME, RATIO_FREE,
};
use super::place::Place;
use super::window::Window;
use super::{Outcome, Settings, ar, codec, cpio, pack, rpm, script, tar, zip};
use crate::finding::{Coverage, SkipReason};
use crate::source::repositories::begins_as_pack;
use crate::source::{Blob, Visitor};

/// How far in a stretch of bytes lies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    /// Archives around it.
    pub(super) depth: usize,
    /// Archives and codecs around it.
    pub(super) layer: usize,
}

impl Level {
    pub(super) const fn inside_codec(self) -> Self {
        Self {
            layer: self.layer + 1,
            ..self
        }
    }

    pub(super) const fn inside_archive(self) -> Self {
        Self {
            depth: self.depth + 1,
            layer: self.layer + 1,
        }
    }

    /// Of what stands behind the archive that this is inside of.
    pub(super) const fn behind_archive(self) -> Self {
        Self {
            depth: self.depth - 1,
            ..self
        }
    }
}

/// Why a layer cannot be read on.
enum Cut {
    Skip(SkipReason),
    /// The file cannot be read, or the run is over.
    Error(io::Error),
}

/// The way through one file.
pub(super) struct Walk<'a> {
    visitor: RefCell<&'a mut dyn Visitor>,
    coverage: RefCell<&'a mut Coverage>,
    max_depth: usize,
    file_is_scanned: bool,
    /// The layer that is broken; 0 is the file.
    fault: RefCell<Option<(usize, Cut)>>,
    scan_as_file: Cell<bool>,
    inflated: Cell<u64>,
    max_inflated: u64,
    /// Held by the decoders at work.
    dictionaries: Cell<u64>,
    until: Instant,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        visitor: &'a mut dyn Visitor,
        coverage: &'a mut Coverage,
        size: u64,
        file_is_scanned: bool,
        settings: Settings,
    ) -> Self {
        let most = MAX_INFLATED.saturating_add(size.saturating_mul(MAX_GROWTH));
        let ratio = RATIO_FREE.saturating_add(size.saturating_mul(MAX_RATIO));
        Self {
            visitor: RefCell::new(visitor),
            coverage: RefCell::new(coverage),
            max_depth: settings.max_depth,
            file_is_scanned,
            fault: RefCell::default(),
            scan_as_file: Cell::default(),
            inflated: Cell::default(),
            max_inflated: most.min(ratio),
            dictionaries: Cell::default(),
            until: Instant::now() + MAX_TIME,
        }
    }

    /// What the whole walk came to.
    pub(super) fn finish(&self, result: io::Result<()>) -> io::Result<Outcome> {
        match (self.fault.take(), result) {
            (Some((_, Cut::Error(error))), _) | (None, Err(error)) => return Err(error),
            _ => {}
        }
        Ok(if self.scan_as_file.get() {
            Outcome::ScanAsFile
        } else {
            Outcome::Read
        })
    }

    /// Looks into what is here, to its end.
    pub(super) fn open(
        &self,
        place: &Place<'_>,
        input: &mut Input<'_>,
        level: Level,
    ) -> io::Result<()> {
        let Some(kind) = kind::recognise(input.peek(kind::HEAD)?) else {
            // One that is a file is read by git's own reader.
            let is_pack = begins_as_pack(input.peek(kind::HEAD)?);
            if is_pack && level.layer < MAX_LAYERS && level.depth < self.max_depth {
                let inside = level.inside_archive();
                let result = pack::walk(self, place, input, inside);
                return self.settle(result, place, input, inside.layer);
            }
            if level.layer < MAX_LAYERS && script::has_archive(input.peek(BUFFER)?) {
                return script::walk(self, place, input, level);
            }
            if zip::may_hide_behind(input.peek(kind::HEAD)?) {
                return zip::behind_prefix(self, place, input, level);
            }
            return self.visit(place, input);
        };
        let too_deep = level.layer >= MAX_LAYERS
            || matches!(kind, Kind::Container(container)
                if container != Container::Rpm && level.depth >= self.max_depth);
        if too_deep {
            return self.leave(SkipReason::ArchiveLimit, place, input, level);
        }
        match kind {
            Kind::Unsupported => self.leave(SkipReason::ArchiveUnsupported, place, input, level),
            Kind::Compressed(codec) => self.decompress(codec, place, input, level),
            Kind::Container(container) => {
                let inside = level.inside_archive();
                let result = match container {
                    Container::Tar => tar::walk(self, place, input, inside),
                    Container::Ar => ar::walk(self, place, input, inside),
                    Container::Cpio => cpio::walk(self, place, input, inside),
                    // What it wraps is the archive.
                    Container::Rpm => rpm::walk(self, place, input, level.inside_codec()),
                    Container::Zip => zip::walk(self, place, input, inside),
                };
                self.settle(result, place, input, inside.layer)
            }
        }
    }

    /// Looks into what comes out of a codec, and at what stands behind it.
    pub(super) fn decompress(
        &self,
        codec: Codec,
        place: &Place<'_>,
        input: &mut Input<'_>,
        level: Level,
    ) -> io::Result<()> {
        let inside = level.inside_codec();
        if codec == Codec::Gzip
            && let Some(bytes) = input.peek_all()?
            && let Some(whole) = codec::whole::gzip(bytes)
        {
            let count = bytes.len();
            input.consume(count);
            let result = self.open_whole(place, whole, inside);
            return self.settle(result, place, input, inside.layer);
        }
        let result = {
            let mut decoder = codec::decoder(self, codec, input, inside.layer);
            self.open(place, &mut Input::stream(&mut *decoder), inside)
        };
        let result = result.and_then(|()| self.behind(place, input, inside));
        self.settle(result, place, input, inside.layer)
    }

    /// Looks into what came out of a codec at once.
    pub(super) fn open_whole(
        &self,
        place: &Place<'_>,
        whole: Vec<u8>,
        level: Level,
    ) -> io::Result<()> {
        let count = whole.len() as u64;
        self.open(place, &mut Input::held(whole), level)?;
        self.spend(count)
    }

    /// The zip that lies somewhere in a file that begins as something else.
    pub(super) fn prefixed_zip(&self, place: &Place<'_>, section: Section<'_>) -> io::Result<()> {
        let inside = Level::default().inside_archive();
        let mut input = Input::section(section);
        let result = zip::walk(self, place, &mut input, inside);
        self.settle(result, place, &mut input, inside.layer)
    }

    /// As [`visit`](Self::visit), for bytes of the archive at `level` that
    /// belong to no member.
    pub(super) fn visit_gap(
        &self,
        place: &Place<'_>,
        content: &mut dyn Read,
        level: Level,
    ) -> io::Result<()> {
        if self.file_is_scanned && level.layer == 1 {
            return io::copy(content, &mut io::sink()).map(drop);
        }
        self.visit(place, content)
    }

    /// Gives the visitor what is here as it is.
    pub(super) fn visit(&self, place: &Place<'_>, content: &mut dyn Read) -> io::Result<()> {
        let mut visitor = self.visitor.borrow_mut();
        let mut coverage = self.coverage.borrow_mut();
        let blob = Blob {
            content,
            origin: place,
        };
        let seen = visitor.visit(blob, &mut coverage);
        // If no reader is at fault the visitor has its own reason to stop.
        seen.map_err(|error| self.ends(error))
    }

    /// What stands behind an archive belongs to no member and may still hold
    /// a key, or be another archive.
    pub(super) fn behind(
        &self,
        place: &Place<'_>,
        input: &mut Input<'_>,
        level: Level,
    ) -> io::Result<()> {
        // Tapes are filled up with zeros, and so is a ramdisk between archives.
        loop {
            let ahead = input.peek(kind::HEAD)?;
            if ahead.is_empty() {
                return Ok(());
            }
            match ahead.iter().take_while(|byte| **byte == 0).count() {
                0 => break,
                zeros => input.skip(zeros as u64)?,
            }
            self.go_on()?;
        }
        match input.as_section() {
            // A zip's places count from its own start.
            Some(section) => {
                let rest = section.part(input.at(), section.len());
                self.open(place, &mut Input::section(rest), level)
            }
            None => self.open(place, input, level),
        }
    }

    /// Counts what cannot be looked into, and gives it to the visitor as it is.
    pub(super) fn leave(
        &self,
        reason: SkipReason,
        place: &Place<'_>,
        input: &mut Input<'_>,
        level: Level,
    ) -> io::Result<()> {
        self.skip(reason, place);
        if level.layer == 0 {
            self.scan_as_file.set(true);
            return Ok(());
        }
        self.visit(place, input)
    }

    pub(super) fn skip(&self, reason: SkipReason, place: &Place<'_>) {
        self.coverage.borrow_mut().skip(reason, place);
    }

    /// Takes the note of a broken layer, unless one further out is broken.
    pub(super) fn settle(
        &self,
        result: io::Result<()>,
        place: &Place<'_>,
        input: &mut Input<'_>,
        layer: usize,
    ) -> io::Result<()> {
        let fault = self.fault.take();
        let ((Err(_), _) | (_, Some(_))) = (result, &fault) else {
            return Ok(());
        };
        // An error that nobody made a note of is this layer's own.
        let corrupt = || (layer, Cut::Skip(SkipReason::ArchiveCorrupt));
        let (broken, cut) = fault.unwrap_or_else(corrupt);
        let reason = match cut {
            Cut::Skip(reason) if broken >= layer || layer == 1 => reason,
            _ => {
                *self.fault.borrow_mut() = Some((broken, cut));
                return Err(io::ErrorKind::Other.into());
            }
        };
        self.skip(reason, place);
        if reason != SkipReason::ArchiveCorrupt {
            return Ok(());
        }
        if layer == 1 {
            self.scan_as_file.set(true);
            return Ok(());
        }
        if input.peek(1)?.is_empty() {
            return Ok(());
        }
        self.visit(place, input)
    }

    /// Notes that `layer` cannot be read on, unless that of another was noted.
    pub(super) fn breaks(&self, layer: usize, reason: SkipReason) -> io::Error {
        self.fault
            .borrow_mut()
            .get_or_insert((layer, Cut::Skip(reason)));
        io::ErrorKind::Other.into()
    }

    /// Notes that nothing can be read on.
    pub(super) fn ends(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.fault
            .borrow_mut()
            .get_or_insert((0, Cut::Error(error)));
        kind.into()
    }

    /// What was noted of the layer `from` is the fault of `to` further out.
    pub(super) fn moves_out(&self, from: usize, to: usize) {
        if let Some((layer, Cut::Skip(SkipReason::ArchiveCorrupt))) = &mut *self.fault.borrow_mut()
            && *layer == from
        {
            *layer = to;
        }
    }

    pub(super) const fn max_depth(&self) -> usize {
        self.max_depth
    }

    /// To be called between members: many that are empty take time as well.
    pub(super) fn go_on(&self) -> io::Result<()> {
        if self.visitor.borrow().is_over() {
            return Err(self.ends(io::ErrorKind::TimedOut.into()));
        }
        self.spend(0)
    }

    /// Accounts for bytes that came out of the file.
    pub(super) fn spend(&self, count: u64) -> io::Result<()> {
        // Asked so often that what is only passed over ends in time, too. What
        // is visited right now asks by itself.
        const ASKED_EVERY: u64 = 1024 * 1024;
        let before = self.inflated.get();
        let inflated = before.saturating_add(count);
        self.inflated.set(inflated);
        if before / ASKED_EVERY != inflated / ASKED_EVERY
            && let Ok(visitor) = self.visitor.try_borrow()
            && visitor.is_over()
        {
            return Err(self.ends(io::ErrorKind::TimedOut.into()));
        }
        if inflated > self.max_inflated || Instant::now() > self.until {
            return Err(self.breaks(0, SkipReason::ArchiveLimit));
        }
        Ok(())
    }

    /// A dictionary for a decoder in `layer`.
    pub(super) const fn window(&self, layer: usize) -> Window<'_, 'a> {
        Window::new(self, &self.dictionaries, layer)
    }
}

/// Counts what comes out of a decoder, and notes its layer as broken when it
/// fails.
pub(super) struct Meter<'w, 'a, R> {
    pub(super) inner: R,
    pub(super) walk: &'w Walk<'a>,
    pub(super) layer: usize,
}

impl<R: Read> Read for Meter<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.inner.read(out) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.walk.breaks(self.layer, SkipReason::ArchiveCorrupt)),
            }
        };
        self.walk.spend(count as u64)?;
        Ok(count)
    }
}
