//! The stages of a scan, one after the other, each on threads that can be
//! given up: the walk through the files, git's objects, user-data, processes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;

use super::crew::{self, Crew, Member, Stuck};
use super::examiner::Examiner;
use super::{Progress, Scan, Settings, join, names, priority, user_data};
use crate::detect::{Detector, Scanner};
use crate::finding::{Coverage, Finding, Instance, SkipReason, SourceKind};
use crate::heap;
use crate::host::from_here;
use crate::source::files::{Files, Queue, Walked, lock, show};
use crate::source::git::Objects;
use crate::source::mounts::Mounts;
use crate::source::process::Processes;
use crate::source::repositories::Repositories;
use crate::source::user_data::{self as given, Copies};
use crate::source::{Holder, Memory, archive, hidden};

/// Through which what a sandbox hides is seen.
const ROOT_OF_HOST: &str = "/proc/1/root";

/// Processes that wait for the kernel and are asked at a time.
const MAX_WAITING: usize = 8;

/// What the threads of a scan share, for as long as any of them runs.
struct Shared {
    settings: Settings,
    progress: Arc<Progress>,
    detector: Detector,
    mounts: Mounts,
    queue: Queue,
    repositories: Repositories,
    copies: Copies,
    walked: Mutex<Walked>,
    results: Mutex<Scan>,
}

/// Scans all that `settings` name.
pub fn run(mut settings: Settings, progress: &Arc<Progress>) -> Scan {
    priority::yield_disk();
    let mut walked = Walked::new(settings.archives);
    let mounts = Mounts::read(Path::new("/proc"), settings.network_filesystems);
    let mut mounts = mounts.unwrap_or_else(|error| {
        // Without the table a walk could enter anything.
        walked.files.skip(SkipReason::IoError, error.to_string());
        settings.roots.clear();
        Mounts::default()
    });
    take_in_overlays(&mut mounts, &settings, &mut walked);
    let shared = Arc::new(Shared {
        detector: Detector::new(settings.max_depth),
        progress: Arc::clone(progress),
        mounts,
        queue: Queue::default(),
        repositories: Repositories::default(),
        copies: Copies::default(),
        walked: Mutex::new(walked),
        results: Mutex::default(),
        settings,
    });
    walk(&shared);
    heap::give_back();
    if shared.settings.git {
        read_git(&shared);
        heap::give_back();
    }
    if shared.settings.user_data.is_some() {
        stage(&shared, SourceKind::UserData, read_user_data);
    }
    if shared.settings.processes {
        read_processes(&shared);
    }
    tell_usage(&shared);
    conclude(&shared)
}

/// Has the overlays walked whose files are seen nowhere else.
fn take_in_overlays(mounts: &mut Mounts, settings: &Settings, walked: &mut Walked) {
    if mounts.overlays().is_empty() {
        return;
    }
    let lonely = Arc::new(OnceLock::new());
    let (found, asked, root) = (Arc::clone(&lonely), mounts.clone(), settings.root.clone());
    let silent: Vec<PathBuf> = settings.silences.places();
    let look = move |member: &Member| {
        let all_answer = Cell::new(true);
        let may_ask = |path: &Path| {
            member.enters(Some(path));
            let is_silent = |place: &PathBuf| path.starts_with(asked.silent_part(place, &root));
            let answers = !silent.iter().any(is_silent);
            all_answer.set(all_answer.get() && answers);
            answers
        };
        let places = asked.lonely_overlays(&root, &may_ask);
        let _ = found.set((places, all_answer.get()));
    };
    crew::run(Crew::One, settings, look, &mut |stuck| stuck.give_up());
    let (places, all_answer) = lonely
        .get()
        .map_or((&[][..], false), |(places, all)| (places, *all));
    if !all_answer {
        walked
            .files
            .skip(SkipReason::Hung, "the directories of overlays");
    }
    mounts.walk_overlays(places);
}

/// Walks through the files on as many threads as are configured.
fn walk(shared: &Arc<Shared>) {
    let tell = |place: String| lock(&shared.walked).files.skip(SkipReason::Hung, place);
    pass_over_silence(shared, &tell);
    let settings = &shared.settings;
    let (roots, next) = (Arc::clone(shared), AtomicUsize::new(0));
    let silent = settings.silences.places();
    let resolve = move |member: &Member| {
        while let Some(root) = roots
            .settings
            .roots
            .get(next.fetch_add(1, Ordering::Relaxed))
        {
            let here = from_here(&roots.settings.root, root);
            if !roots.queue.is_silent(&here) {
                member.enters(Some(&here));
                roots.with_files(|files| files.add_root(root, &roots.queue, &roots.walked));
            } else if !silent.iter().any(|place| place.starts_with(&here)) {
                // What is beneath it was told.
                let place = roots.with_files(|files| files.show(&here));
                lock(&roots.walked).files.skip(SkipReason::Hung, place);
            }
        }
    };
    crew::run(Crew::Many(1), settings, resolve, &mut |stuck| {
        stuck.give_up_and(|| tell(shared.with_files(|files| files.show(stuck.place))))
    });
    let comes = |path: &Path, start: &Path| shared.mounts.come_to(path, start);
    shared.queue.keep_outermost(comes);
    // In another root we see what whoever mounted it wants us to.
    if settings.root == Path::new("/") {
        let own = Arc::clone(shared);
        let work = move |member: &Member| {
            member.enters(Some(Path::new(ROOT_OF_HOST)));
            tell_hidden(&own);
        };
        let mut give_up = |stuck: &Stuck<'_>| stuck.give_up_and(|| tell(ROOT_OF_HOST.into()));
        // Unless an earlier scan still waits for it.
        if shared.queue.is_silent(Path::new(ROOT_OF_HOST)) {
            tell(ROOT_OF_HOST.into());
        } else {
            crew::run(Crew::One, settings, work, &mut give_up);
        }
    }
    let walk = Arc::clone(shared);
    let work = move |member: &Member| {
        let mut examiner = walk.examiner(member);
        walk.with_files(|files| files.work(&walk.queue, &mut examiner, &walk.walked));
    };
    let threads = Crew::Many(settings.threads);
    crew::run(threads, settings, work, &mut |stuck| {
        let mount = shared.silent_part(stuck.place);
        let mut is_given_up = false;
        shared.queue.give_up(stuck.place, mount, || {
            is_given_up = stuck.give_up();
            is_given_up
        });
        if is_given_up {
            tell(shared.with_files(|files| files.show(stuck.place)));
        }
        is_given_up
    });
    for (place, left) in shared.queue.left_in_silence() {
        let place = shared.with_files(|files| files.show(&place));
        let files = &mut lock(&shared.walked).files;
        files.skip_many(SkipReason::Hung, left, place);
    }
    if let Some(left) = shared.queue.left() {
        tell(show(&left));
    }
}

/// Leaves out what an earlier scan still waits for, and tells what of it
/// would have been walked.
fn pass_over_silence(shared: &Shared, tell: &dyn Fn(String)) {
    let settings = &shared.settings;
    for place in settings.silences.places() {
        let silent = shared.silent_part(&place);
        let mut roots = settings.roots.iter();
        if shared.mounts.skip(silent).is_none()
            && roots.any(|root| place.starts_with(from_here(&settings.root, root)))
        {
            tell(shared.with_files(|files| files.show(&place)));
        }
        shared.queue.pass_over(&place, silent);
    }
}

/// Counts what of the places to be scanned a sandbox hides from us.
fn tell_hidden(shared: &Shared) {
    let settings = &shared.settings;
    let mut hidden = hidden::places(Path::new("/proc"), settings.network_filesystems);
    hidden.retain(|place| {
        let mut roots = settings.roots.iter();
        roots.any(|root| place.starts_with(root) || root.starts_with(place))
            && !settings.exclude.is_match(place)
    });
    let mut walked = lock(&shared.walked);
    for place in hidden {
        walked.files.skip(SkipReason::HiddenBySandbox, show(&place));
    }
}

/// Does the work of one source on a thread of its own.
fn stage(shared: &Arc<Shared>, source: SourceKind, work: fn(&Shared, &Member) -> Option<Coverage>) {
    let own = Arc::clone(shared);
    let job = move |member: &Member| {
        let coverage = work(&own, member);
        let mut results = lock(&own.results);
        if !member.is_given_up() {
            results.coverage.extend(coverage);
        }
    };
    crew::run(Crew::One, &shared.settings, job, &mut |stuck| {
        let mut results = lock(&shared.results);
        let is_given_up = stuck.give_up();
        if is_given_up {
            let mut coverage = Coverage::new(source);
            let place = match stuck.place {
                unknown if unknown == Path::new("") => &shared.settings.root,
                place => place,
            };
            coverage.skip(SkipReason::Hung, show(place));
            results.coverage.push(coverage);
        }
        is_given_up
    });
}

/// Reads git's objects repository by repository: one that does not answer costs
/// the thread that tries, and another goes on behind it.
fn read_git(shared: &Arc<Shared>) {
    let settings = &shared.settings;
    let objects = Objects::of(&shared.repositories, settings.archives);
    let objects = Arc::new(objects);
    let (own, followed) = (Arc::clone(shared), Arc::clone(&objects));
    let follow = move |member: &Member| {
        let mut examiner = own.examiner(member);
        own.with_files(|files| followed.follow(files, &mut examiner));
    };
    let (own, read) = (Arc::clone(shared), Arc::clone(&objects));
    let read = move |member: &Member| {
        let visitors = || Box::new(own.examiner(member)) as Box<dyn Holder + '_>;
        own.with_files(|files| read.read(files, &visitors));
    };
    let mut judge = |stuck: &Stuck<'_>| {
        let give_up = || stuck.give_up();
        let is_given_up = shared.with_files(|files| objects.tell_hung(stuck.place, files, give_up));
        if is_given_up {
            let mount = shared.silent_part(stuck.place);
            shared.queue.pass_over(stuck.place, mount);
        }
        is_given_up
    };
    if !objects.is_empty() {
        crew::run(Crew::Many(1), settings, follow, &mut judge);
        crew::run(Crew::Many(1), settings, read, &mut judge);
    }
    let read = shared.with_files(|files| objects.finish(files));
    lock(&shared.results).coverage.push(read.objects);
    lock(&shared.walked).merge(read.walked);
}

fn read_user_data(shared: &Shared, member: &Member) -> Option<Coverage> {
    let answer = shared.settings.user_data.as_ref()?;
    let mut examiner = shared.examiner(member);
    shared.with_files(|files| given::read(answer, &shared.copies, files, &mut examiner))
}

/// Reads the processes one after another: one that does not let itself be read
/// costs the thread that tries, and another goes on behind it.
fn read_processes(shared: &Arc<Shared>) {
    let settings = &shared.settings;
    let (own, listed) = (Arc::clone(shared), Arc::new(OnceLock::new()));
    let list = Arc::clone(&listed);
    let proc = settings.root.join("proc");
    let work = move |member: &Member| {
        let proc = own.settings.root.join("proc");
        member.enters(Some(&proc));
        let _ = list.set(Arc::new(Processes::list(&proc, Some(&own.mounts))));
    };
    if !settings.silences.places().contains(&proc) {
        crew::run(Crew::One, settings, work, &mut |stuck| stuck.give_up());
    }
    let Some(processes) = listed.get() else {
        let mut coverage = Coverage::new(SourceKind::Process);
        coverage.skip(SkipReason::Hung, show(&proc));
        lock(&shared.results).coverage.push(coverage);
        return;
    };
    // A thread for each of those that may keep it, as far as that goes: they are
    // waited for together.
    let rounds = [(1, false), (processes.waiting().min(MAX_WAITING), true)];
    for (threads, with_waiting) in rounds.into_iter().filter(|(threads, _)| *threads > 0) {
        let (own, visited) = (Arc::clone(shared), Arc::clone(processes));
        let work = move |member: &Member| {
            let silent = own.settings.silences.places();
            visited.work(with_waiting, &silent, &mut own.examiner(member));
        };
        crew::run(Crew::Many(threads), settings, work, &mut |stuck| {
            processes.tell_hung(stuck.place, || stuck.give_up())
        });
    }
    lock(&shared.results).coverage.push(processes.coverage());
}

/// Makes one finding of those in the copies of a text, whole keys of those
/// that units put together, and says who uses the files with findings.
fn tell_usage(shared: &Arc<Shared>) {
    let settings = &shared.settings;
    if settings.user_data.is_some() {
        let mut results = lock(&shared.results);
        let findings = std::mem::take(&mut results.findings);
        results.findings = user_data::collapse(findings, &settings.instance);
    }
    let findings = Arc::new(std::mem::take(&mut lock(&shared.results).findings));
    let joined = Arc::new(Mutex::new(join::Joined::default()));
    let (own, own_findings, own_joined) = (
        Arc::clone(shared),
        Arc::clone(&findings),
        Arc::clone(&joined),
    );
    let work = move |member: &Member| {
        let enters = |path: &Path| member.enters(Some(path));
        let (settings, mounts) = (&own.settings, &own.mounts);
        let joined = join::join(&own_findings, settings, mounts, &own.detector, &enters);
        let mut told = lock(&own_joined);
        if !member.is_given_up() {
            *told = joined;
        }
    };
    crew::run(Crew::One, settings, work, &mut |stuck| {
        stuck.give_up_and(|| {
            let place = show(&settings.root);
            lock(&shared.walked).files.skip(SkipReason::Hung, place);
        })
    });
    // A thread that was given up keeps them, and we go on with a copy.
    let findings = Arc::unwrap_or_clone(findings);
    let joined = std::mem::take(&mut *lock(&joined));
    joined.apply(findings, &mut lock(&shared.results));
}

/// Takes what the threads found: one that was given up may still add to it.
fn conclude(shared: &Shared) -> Scan {
    let settings = &shared.settings;
    let mut scan = std::mem::take(&mut *lock(&shared.results));
    let nothing = Walked::new(settings.archives);
    let walked = std::mem::replace(&mut *lock(&shared.walked), nothing);
    let objects = std::mem::take(&mut scan.coverage);
    scan.coverage.push(walked.files);
    scan.coverage.extend(walked.archives);
    scan.coverage.extend(objects);
    let order = |finding: &Finding| {
        let place = &finding.location;
        (
            std::cmp::Reverse(finding.severity),
            place.path.clone(),
            place.member.clone(),
            place.line,
            place.column,
            place.pid,
            finding.access_key_id,
        )
    };
    scan.findings.sort_by_cached_key(order);
    names::mask(&mut scan, &shared.detector);
    scan
}

impl Shared {
    /// What is not touched any more where `place` does not answer.
    fn silent_part<'a>(&self, place: &'a Path) -> &'a Path {
        self.mounts.silent_part(place, &self.settings.root)
    }

    fn examiner<'a>(&'a self, member: &'a Member) -> Examiner<'a> {
        Examiner::new(
            &self.settings,
            &self.progress,
            Scanner::new(&self.detector),
            &self.results,
            member,
        )
    }

    fn with_files<T>(&self, work: impl FnOnce(&Files<'_>) -> T) -> T {
        let settings = &self.settings;
        let exclude = |path: &Path| settings.is_excluded(path);
        let memory = settings.memory.as_deref();
        work(&Files {
            root: &settings.root,
            roots: &settings.roots,
            exclude: Some(&exclude),
            silent: Some(&|path| self.queue.is_doubtful(path)),
            mounts: &self.mounts,
            threads: settings.threads,
            archives: settings.archives.then_some(archive::Settings {
                max_depth: settings.max_depth,
            }),
            pending_time: pending_time(&settings.instance),
            git: settings.git.then_some(&self.repositories),
            user_data: settings.user_data.as_ref().map(|_| &self.copies),
            memory: memory.map(|memory| memory as &dyn Memory),
            tails: settings.tails.as_deref(),
        })
    }
}
fn pending_time(instance: &Instance) -> Option<Timestamp> {
    instance.pending_time.as_ref()?.parse().ok()
}
