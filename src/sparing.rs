//! Reads a file and leaves the page cache as it was: what the workload has
//! there stays, what the read brings in is dropped again.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::sync::LazyLock;

use procfs_core::sys::kernel::Version;
use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Files up to this size are read at once.
const ONE_READ: u64 = 64 * 1024;

/// A page is at least this long; part of one is not dropped.
const PAGE: u64 = 4096;

/// Has the kernel itself drop what a read brings in, page by page:
/// `RWF_DONTCACHE`, which `rustix` does not name. Since Linux 6.14, where the
/// file system takes part.
const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// Whether the kernel may know it; to ask for each file costs a call more.
static DROPS: LazyLock<bool> = LazyLock::new(|| {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let release = release.and_then(|release| release.trim().parse::<Version>().ok());
    release.is_none_or(|release| release >= Version::new(6, 14, 0))
});

/// What leaves the page cache as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The kernel, by [`DONT_CACHE`].
    Kernel,
    /// We do: what is not cached when it is asked for is dropped again. Of a
    /// piece that begins so, what is cached further behind goes, too.
    Question,
    /// Nothing, since the file system tells nothing: proc, overlay and old
    /// kernels.
    Nothing,
}

/// A file that is read sparingly.
#[derive(Debug)]
pub struct Sparing<'a> {
    file: &'a File,
    way: Cell<Way>,
    /// What the kernel began to read when it was asked for more than was
    /// cached. A fast disk has it there before the next question.
    begun: Cell<(u64, u64)>,
}

impl<'a> Sparing<'a> {
    /// `file`, which has `size` bytes, for reading from its start in large
    /// pieces.
    pub fn new(file: &'a File, size: u64) -> Self {
        let sparing = Self {
            file,
            way: Cell::new(if *DROPS { Way::Kernel } else { Way::Question }),
            begun: Cell::new((0, 0)),
        };
        if size > ONE_READ {
            sparing.ask_for_no_more();
        }
        sparing
    }

    /// The same for reading in any pieces.
    pub fn in_pieces(file: &'a File) -> Self {
        let sparing = Self::new(file, 0);
        sparing.ask_for_no_more();
        sparing
    }

    /// Even the question whether a page is cached starts reading ahead, and
    /// what that brings in would look like the workload's.
    fn ask_for_no_more(&self) {
        // Only advice: without it more stays cached.
        let _ = fadvise(self.file, 0, None, Advice::Random);
    }

    /// Reads what is there at `offset`, at most a buffer full.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.way.get() == Way::Kernel {
            match self.read_with(DONT_CACHE, buffer, offset) {
                Err(Errno::OPNOTSUPP | Errno::INVAL) => self.way.set(Way::Question),
                read => return Ok(read?),
            }
        }
        if self.way.get() == Way::Nothing {
            return self.file.read_at(buffer, offset);
        }
        let (from, to) = self.begun.get();
        if (from..to).contains(&offset) {
            let left = usize::try_from(to - offset).unwrap_or(usize::MAX);
            let len = buffer.len().min(left);
            return self.bring_in(&mut buffer[..len], offset);
        }
        match self.read_with(ReadWriteFlags::NOWAIT, buffer, offset) {
            Ok(count) => {
                let asked = offset + buffer.len() as u64;
                self.begun.set((offset + count as u64, asked));
                Ok(count)
            }
            Err(Errno::AGAIN) => self.bring_in(buffer, offset),
            Err(_) => {
                self.way.set(Way::Nothing);
                self.file.read_at(buffer, offset)
            }
        }
    }

    /// Where the file's next data begin, at `offset` or behind the hole there;
    /// `u64::MAX` where the rest is one. A file system that knows of no holes
    /// has data everywhere.
    pub fn next_data(&self, offset: u64) -> u64 {
        match seek(self.file, SeekFrom::Data(offset)) {
            Ok(data) => data,
            Err(Errno::NXIO) => u64::MAX,
            Err(_) => offset,
        }
    }

    fn read_with(
        &self,
        flags: ReadWriteFlags,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<usize, Errno> {
        let mut slices = [IoSliceMut::new(buffer)];
        preadv2(self.file, &mut slices, offset, flags)
    }

    /// Reads what is not cached at `offset`, and drops its pages.
    fn bring_in(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let first = offset / PAGE * PAGE;
        let end = offset + buffer.len() as u64;
        let is_one_page = end <= first + PAGE;
        // The page that it ends in may be the workload's.
        let ends_uncached = !end.is_multiple_of(PAGE) && (is_one_page || self.is_uncached(end - 1));
        let count = self.file.read_at(buffer, offset)?;
        if count == 0 {
            // At the end, in a page that was read before.
            return Ok(0);
        }
        let read = offset + count as u64;
        let last = if ends_uncached {
            read.next_multiple_of(PAGE)
        } else {
            read
        };
        if let Some(len) = NonZeroU64::new(last - first) {
            let _ = fadvise(self.file, first, Some(len), Advice::DontNeed);
        }
        Ok(count)
    }

    fn is_uncached(&self, offset: u64) -> bool {
        self.read_with(ReadWriteFlags::NOWAIT, &mut [0], offset) == Err(Errno::AGAIN)
    }

    /// Adds what the file holds, up to `limit` bytes, to `content`.
    pub fn read_to(&self, limit: u64, content: &mut Vec<u8>) -> io::Result<()> {
        let mut offset = 0;
        while offset < limit {
            let start = content.len();
            // In pieces as large as this: a page that is dropped costs another
            // read where a piece ends in it.
            let piece = usize::try_from(ONE_READ.min(limit - offset)).unwrap_or(usize::MAX);
            content.resize(start + piece, 0);
            let count = self.read_at(&mut content[start..], offset);
            content.truncate(start + *count.as_ref().unwrap_or(&0));
            match count? {
                0 => break,
                count => offset += count as u64,
            }
        }
        Ok(())
    }

    /// Reads it from `offset` on, into large buffers.
    pub fn reader(&self, offset: u64) -> Reader<'_> {
        Reader { file: self, offset }
    }
}

/// Reads a file in its order.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a Sparing<'a>,
    offset: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of a file that are cached.
    fn cached(path: &std::path::Path) -> usize {
        let file = File::open(path).unwrap();
        let pages = file.metadata().unwrap().len().div_ceil(PAGE);
        let asked = Sparing::in_pieces(&file);
        let pages = (0..pages).filter(|page| !asked.is_uncached(page * PAGE));
        pages.count()
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    fn what_is_read_in_pieces_is_dropped_whole_by_the_kernel_or_by_us() {
        // Beside the program and not below /tmp, which may be in memory.
        let program = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        for way in [Way::Kernel, Way::Question] {
            // Dropping is advice: pages that another processor has in hand
            // just then stay. A new file each time, as the count of what is
            // cached starts to read what is not.
            let stays = (0..10).map(|round| {
                let path = dir.path().join(format!("{way:?}{round}"));
                fs::write(&path, b".".repeat(200_000)).unwrap();
                let file = File::open(&path).unwrap();
                file.sync_all().unwrap();
                fadvise(&file, 0, None, Advice::DontNeed).unwrap();
                let sparing = Sparing::in_pieces(&file);
                sparing.way.set(way);
                let mut read = 0;
                for piece in [512, 32 * 1024, 1000, 32 * 1024] {
                    let mut buffer = vec![0; piece];
                    let mut reader = sparing.reader(0);
                    while let Ok(count @ 1..) = reader.read(&mut buffer) {
                        read += count;
                    }
                }
                assert_eq!(read, 800_000);
                if sparing.way.get() == Way::Nothing {
                    eprintln!("skipped: this file system does not tell what is cached");
                    return 0;
                }
                cached(&path)
            });
            let mut stays = stays.skip_while(|pages| *pages > 2);
            assert!(stays.next().is_some(), "by {way:?}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_end_or_to_the_limit() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        io::Write::write_all(&mut file, &text).unwrap();
        let sparing = Sparing::new(file.as_file(), text.len() as u64);
        for limit in [0, 1, ONE_READ, ONE_READ + 1, 800_000, u64::MAX] {
            let mut content = Vec::new();
            sparing.read_to(limit, &mut content).unwrap();
            let len = usize::try_from(limit).unwrap().min(text.len());
            assert!(content == text[..len], "up to {limit}");
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    fn what_is_cached_stays_when_a_file_is_read_to_its_end() {
        let program = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        for size in [300, 1000, 5000, 70_000] {
            let path = dir.path().join("data");
            fs::write(&path, b".".repeat(size)).unwrap();
            let file = File::open(&path).unwrap();
            file.sync_all().unwrap();
            let before = cached(&path);
            let sparing = Sparing::new(&file, size as u64);
            sparing.way.set(Way::Question);
            let mut content = Vec::new();
            sparing.read_to(u64::MAX, &mut content).unwrap();
            if sparing.way.get() == Way::Nothing {
                eprintln!("skipped: this file system does not tell what is cached");
                return;
            }
            assert_eq!((content.len(), cached(&path)), (size, before));
        }
    }
}
