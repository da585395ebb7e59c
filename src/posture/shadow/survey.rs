//! Who lives on the host, and which credentials the chains of each come to.

mod host;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use super::endpoint::Override;
use super::resolve::{Answer, Inputs, Key, imds_off, resolve};
use super::runtime::{self, Guess};
use super::view::Cache;
use crate::finding::Confidence;
use crate::host::process::Identity;
use host::Host;

/// Shadowings and overrides kept; more are counted.
const MAX_KEPT: usize = 2_000;

/// Who takes credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Process(Identity),
    /// A unit by its files, running or not.
    Unit(String),
    Account {
        name: String,
        uid: u32,
    },
}

/// A static key in the place of the role.
#[derive(Debug, Clone)]
pub(super) struct Shadow {
    pub(super) holder: Holder,
    pub(super) key: Key,
    /// Processes that are this holder, or run as it.
    pub(super) pids: Vec<u32>,
    /// The SDKs whose order comes to the key, and those of the others that
    /// the holder may use.
    pub(super) orders: Vec<&'static str>,
    pub(super) against: Vec<&'static str>,
    pub(super) evidence: &'static str,
    pub(super) confidence: Confidence,
    /// What keeps the holder from the role besides.
    pub(super) off: Option<&'static str>,
    /// What a tool needs to take the role, where it does not by itself.
    pub(super) option: Option<&'static str>,
}

/// What was seen of a host.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) shadows: Vec<Shadow>,
    pub(super) overrides: Vec<Override>,
    pub(super) processes: u64,
    pub(super) units: u64,
    pub(super) accounts: u64,
    /// Processes that could not be looked into.
    pub(super) unread: u64,
    /// Who else comes to something that cannot be told, and why of the first.
    pub(super) untold: u64,
    pub(super) untold_example: Option<String>,
    /// Shadowings and overrides that are not kept.
    pub(super) excess: u64,
    /// Whether it came to its end.
    pub(super) is_over: bool,
}

impl Survey {
    fn untold(&mut self, why: String) {
        self.untold += 1;
        self.untold_example.get_or_insert(why);
    }

    fn shadow(&mut self, shadow: Shadow) {
        if self.shadows.len() < MAX_KEPT {
            self.shadows.push(shadow);
        } else {
            self.excess += 1;
        }
    }

    fn overridden(&mut self, overrides: Vec<Override>) {
        for one in overrides {
            if let Some(known) = self.overrides.iter_mut().find(|known| known.is_same(&one)) {
                known.count += 1;
            } else if self.overrides.len() < MAX_KEPT {
                self.overrides.push(one);
            } else {
                self.excess += 1;
            }
        }
    }
}

/// Looks at the host below `root`, and tells `survey` as it goes: whoever
/// waits may give up and take what is there.
pub(super) fn run(root: &Path, survey: &Mutex<Survey>) {
    let cache = Cache::default();
    let host = Host {
        root,
        cache: &cache,
        survey,
    };
    // Last what homes on another machine may keep from coming back.
    host.units();
    host.pools();
    host.accounts();
    host.processes();
    host.tell(|survey| survey.is_over = true);
}

/// What the chains of one holder come to.
struct Judged {
    /// For each key who comes to it, and what keeps it from the role.
    keys: Vec<(Key, Vec<&'static str>, Option<&'static str>)>,
    asked: Vec<&'static str>,
    unknown: Option<String>,
}

impl Judged {
    fn shadows<'j>(
        &'j self,
        holder: &'j Holder,
        guess: &'j Guess,
    ) -> impl Iterator<Item = Shadow> + 'j {
        self.keys.iter().map(move |(key, orders, off)| {
            let agree = orders.len() == self.asked.len();
            Shadow {
                holder: holder.clone(),
                key: key.clone(),
                pids: Vec::new(),
                orders: orders.clone(),
                against: self
                    .asked
                    .iter()
                    .copied()
                    .filter(|name| !orders.contains(name))
                    .collect(),
                evidence: guess.evidence,
                confidence: confidence(guess, agree),
                off: *off,
                option: None,
            }
        })
    }
}

/// Credentials that a program is given in its code are seen by nobody, so
/// that the order of an SDK is never certain to be followed.
fn confidence(guess: &Guess, agree: bool) -> Confidence {
    let runs_no_code = guess.evidence == runtime::AWS_CLI;
    match (agree, guess.is_some()) {
        (false, _) => Confidence::Low,
        (true, true) if runs_no_code => guess.confidence,
        (true, true) => guess.confidence.min(Confidence::Medium),
        (true, false) => Confidence::Medium,
    }
}

fn judge(guess: &Guess, inputs: &Inputs<'_>) -> Judged {
    let mut judged = Judged {
        keys: Vec::new(),
        asked: Vec::new(),
        unknown: None,
    };
    for chain in &guess.chains {
        judged.asked.push(chain.name);
        match resolve(chain, inputs) {
            Answer::Static(key) => {
                let known = judged.keys.iter_mut().find(|(known, ..)| *known == key);
                if let Some((_, orders, _)) = known {
                    orders.push(chain.name);
                } else {
                    let off = imds_off(chain, inputs);
                    judged.keys.push((key, vec![chain.name], off));
                }
            }
            Answer::Unknown(why) => {
                judged.unknown.get_or_insert(why);
            }
            Answer::Role | Answer::Temporary | Answer::Stopped => {}
        }
    }
    judged
}

impl Survey {
    /// Adds a shadowing of a process to that of its account, of which it is
    /// one more, or to that of another process that is the same.
    fn of_process(
        &mut self,
        shadow: Shadow,
        uid: u32,
        known_runtime: bool,
        known: &mut HashMap<Holder, Vec<usize>>,
    ) {
        let Holder::Process(identity) = &shadow.holder else {
            return;
        };
        if !known_runtime && identity.container.is_none() {
            let of_account = self.shadows.iter_mut().find(|account| {
                matches!(&account.holder, Holder::Account { uid: theirs, .. } if *theirs == uid)
                    && account.key == shadow.key
            });
            if let Some(account) = of_account {
                account.pids.extend(shadow.pids);
                return;
            }
        }
        let same = known.entry(shadow.holder.clone()).or_default();
        for at in same.iter() {
            if let Some(like) = self
                .shadows
                .get_mut(*at)
                .filter(|like| like.key == shadow.key)
            {
                like.pids.extend(shadow.pids);
                return;
            }
        }
        same.push(self.shadows.len());
        self.shadow(shadow);
    }
}
