//! When each of the service's jobs is due. Pure: the clock and the dice are
//! arguments.

use std::time::Duration;

use tokio::time::Instant;

/// What the service does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Job {
    /// The checks of the metadata service and the role.
    Posture,
    /// Everything that is configured.
    Sweep,
    /// The environments of the processes.
    Processes,
}

impl Job {
    const ALL: [Self; 3] = [Self::Posture, Self::Sweep, Self::Processes];
}

/// The longest that the first sweep waits after the start: instances that
/// boot together on one host do not all read its disks in the same second.
const LONGEST_START: Duration = Duration::from_secs(30);

/// How soon a sweep comes that is asked for outside of its turn, the first
/// time.
const AGAIN: Duration = Duration::from_mins(1);

/// The part of an interval by which the time between two runs varies.
const JITTER: f64 = 0.1;

/// How long from one run of a job to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) posture: Duration,
    pub(super) sweep: Duration,
    /// `None` where processes are not looked into.
    pub(super) processes: Option<Duration>,
}

impl Intervals {
    const fn of(&self, job: Job) -> Option<Duration> {
        match job {
            Job::Posture => Some(self.posture),
            Job::Sweep => Some(self.sweep),
            Job::Processes => self.processes,
        }
    }
}

/// A time for each job; none while it runs.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    intervals: Intervals,
    due: [Option<Instant>; Job::ALL.len()],
    /// A sweep was asked for outside of its turn.
    asked: bool,
    /// Sweeps on end that were.
    again: u32,
}

impl Schedule {
    /// At the start posture is known already and the first sweep, which looks
    /// into the processes as well, comes soon. `dice` is from 0 to 1.
    pub(super) fn new(intervals: Intervals, now: Instant, dice: f64) -> Self {
        let mut schedule = Self {
            intervals,
            due: [None; Job::ALL.len()],
            asked: false,
            again: 0,
        };
        let start = LONGEST_START.min(intervals.sweep / 100);
        schedule.due[Job::Sweep as usize] = Some(now + start.mul_f64(dice));
        schedule.finished(Job::Posture, now, dice);
        schedule.finished(Job::Processes, now, dice);
        schedule
    }

    /// Takes a job that is due; it is not due again before it is finished.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Job> {
        let is_due = |job: &Job| self.due[*job as usize].is_some_and(|due| due <= now);
        let job = Job::ALL.into_iter().find(is_due)?;
        self.due[job as usize] = None;
        if job == Job::Sweep {
            let was_asked_for = std::mem::take(&mut self.asked);
            self.again = if was_asked_for { self.again + 1 } else { 0 };
        }
        Some(job)
    }

    /// A run of `job` has ended: the next one is an interval away.
    pub(super) fn finished(&mut self, job: Job, now: Instant, dice: f64) {
        let factor = 1.0 + JITTER * (2.0 * dice - 1.0);
        self.due[job as usize] = self
            .intervals
            .of(job)
            .map(|interval| now + interval.mul_f64(factor));
        if job == Job::Sweep && self.asked {
            self.no_later(job, now + self.pause());
        }
    }

    /// A sweep is wanted outside of its turn: soon, and ever later if that is
    /// so after every sweep. One that runs may have passed by already.
    pub(super) fn sweep_again(&mut self, now: Instant) {
        self.asked = true;
        self.no_later(Job::Sweep, now + self.pause());
    }

    /// A sweep of all that there is from now on: at once, or once the one that
    /// runs has ended, which may have passed by already.
    pub(super) fn sweep_from(&mut self, now: Instant) {
        self.asked |= self.due[Job::Sweep as usize].is_none();
        self.no_later(Job::Sweep, now);
    }

    fn pause(&self) -> Duration {
        AGAIN
            .saturating_mul(2u32.saturating_pow(self.again))
            .min(self.intervals.sweep)
    }

    /// `job` is to run at `at` or earlier, unless it is running.
    pub(super) fn no_later(&mut self, job: Job, at: Instant) {
        if let Some(due) = &mut self.due[job as usize] {
            *due = at.min(*due);
        }
    }

    /// Other intervals, from the next run of each job on.
    pub(super) fn set_intervals(&mut self, intervals: Intervals, now: Instant, dice: f64) {
        let changed: Vec<_> = Job::ALL
            .into_iter()
            .filter(|job| self.intervals.of(*job) != intervals.of(*job))
            .collect();
        self.intervals = intervals;
        for job in changed {
            // One that runs has no time, and gets it when it ends.
            if self.due[job as usize].is_some() || job == Job::Processes {
                self.finished(job, now, dice);
            }
        }
    }

    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.due[Job::Sweep as usize]
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const INTERVALS: Intervals = Intervals {
        posture: Duration::from_mins(15),
        sweep: Duration::from_hours(6),
        processes: Some(Duration::from_mins(5)),
    };

    fn all_due(schedule: &mut Schedule, now: Instant) -> Vec<Job> {
        std::iter::from_fn(|| schedule.take_due(now)).collect()
    }

    #[test]
    fn the_first_sweep_comes_within_half_a_minute_and_the_rest_after_an_interval() {
        let now = Instant::now();
        let mut schedule = Schedule::new(INTERVALS, now, 1.0);
        assert_eq!(schedule.next(), Some(now + LONGEST_START));
        assert_eq!(all_due(&mut schedule, now), []);
        assert_eq!(all_due(&mut schedule, now + LONGEST_START), [Job::Sweep]);
        assert_eq!(
            all_due(&mut schedule, now + 30 * MINUTE),
            [Job::Posture, Job::Processes]
        );
        // Nothing ends, so nothing is due again.
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_sweep_from_now_on_comes_at_once_or_after_the_one_that_runs() {
        let now = Instant::now();
        let mut schedule = Schedule::new(INTERVALS, now, 1.0);
        schedule.sweep_from(now);
        assert_eq!(all_due(&mut schedule, now), [Job::Sweep]);
        schedule.sweep_from(now);
        assert_eq!(schedule.next_sweep(), None);
        schedule.finished(Job::Sweep, now, 0.5);
        assert_eq!(schedule.next_sweep(), Some(now + AGAIN));
    }

    #[test]
    fn a_run_that_has_ended_is_due_again_after_its_interval_give_or_take_a_tenth() {
        let now = Instant::now();
        for (dice, minutes) in [(0.0, 324), (0.5, 360), (1.0, 396)] {
            let mut schedule = Schedule::new(INTERVALS, now, 0.5);
            all_due(&mut schedule, now + 30 * MINUTE);
            schedule.finished(Job::Sweep, now, dice);
            assert_eq!(schedule.next(), Some(now + minutes * MINUTE));
        }
    }

    #[test]
    fn what_is_wanted_sooner_comes_sooner_and_never_twice_at_once() {
        let now = Instant::now();
        let mut schedule = Schedule::new(INTERVALS, now, 0.0);
        schedule.no_later(Job::Posture, now);
        schedule.no_later(Job::Posture, now + MINUTE);
        assert_eq!(all_due(&mut schedule, now), [Job::Posture, Job::Sweep]);
        schedule.no_later(Job::Sweep, now);
        assert_eq!(all_due(&mut schedule, now), []);
    }

    #[test]
    fn a_sweep_that_is_asked_for_after_every_sweep_comes_ever_later() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(INTERVALS, now, 0.0);
        assert_eq!(schedule.take_due(now), Some(Job::Sweep));
        let mut minutes = Vec::new();
        for _ in 0..10 {
            // While it runs, and once more when it has ended.
            schedule.sweep_again(now);
            schedule.finished(Job::Sweep, now, 0.5);
            schedule.sweep_again(now);
            let due = schedule.next_sweep().expect("a time");
            minutes.push((due - now).as_secs() / 60);
            now = due;
            while schedule.take_due(now) != Some(Job::Sweep) {}
        }
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360]);
        schedule.finished(Job::Sweep, now, 0.5);
        now += INTERVALS.sweep;
        while schedule.take_due(now) != Some(Job::Sweep) {}
        schedule.sweep_again(now);
        schedule.finished(Job::Sweep, now, 0.5);
        assert_eq!(schedule.next_sweep(), Some(now + MINUTE));
    }

    #[test]
    fn other_intervals_move_what_waits_and_leave_what_runs() {
        let now = Instant::now();
        let mut schedule = Schedule::new(INTERVALS, now, 0.5);
        assert_eq!(schedule.take_due(now + MINUTE), Some(Job::Sweep));
        let shorter = Intervals {
            posture: MINUTE,
            sweep: MINUTE,
            processes: None,
        };
        schedule.set_intervals(shorter, now, 0.5);
        assert_eq!(all_due(&mut schedule, now + 10 * MINUTE), [Job::Posture]);
        assert_eq!(schedule.next(), None);
        schedule.finished(Job::Sweep, now, 0.5);
        assert_eq!(schedule.next(), Some(now + MINUTE));
    }
}
