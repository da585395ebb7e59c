//! Who lives on the host, and which credentials the chains of each come to.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::chain;
use super::endpoint::{self, Override};
use super::resolve::{Answer, Inputs, Key, imds_off, resolve};
use super::runtime::{self, Guess, Program};
use super::tools;
use super::variables::{Variables, is_wanted};
use super::view::{Cache, View};
use crate::finding::Confidence;
use crate::host::account::{self, Account};
use crate::host::process::{self, Credentials, Identity, Process};
use crate::host::unit::{Manager, Units};
use crate::host::{Omitted, Root};
use crate::secret::Secret;

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
    host.accounts();
    host.units();
    host.processes();
    host.tell(|survey| survey.is_over = true);
}

struct Host<'h> {
    root: &'h Path,
    cache: &'h Cache,
    survey: &'h Mutex<Survey>,
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
                match known {
                    Some((_, orders, _)) => orders.push(chain.name),
                    None => {
                        let off = imds_off(chain, inputs);
                        judged.keys.push((key, vec![chain.name], off));
                    }
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

impl Host<'_> {
    fn tell<T>(&self, tell: impl FnOnce(&mut Survey) -> T) -> T {
        let mut survey = self.survey.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&mut survey)
    }

    fn root(&self) -> Root<'_> {
        Root {
            path: self.root,
            avoid: &|_| false,
        }
    }

    /// The host's files as `reader` sees them.
    fn view(&self, reader: Credentials) -> View<'_> {
        View {
            cache: self.cache,
            id: (PathBuf::new(), 0, 0),
            root: self.root.to_owned(),
            reader,
        }
    }

    fn accounts(&self) {
        let accounts = account::list(&self.root()).unwrap_or_else(|error| {
            self.tell(|survey| survey.untold(format!("/etc/passwd cannot be read: {error}")));
            Vec::new()
        });
        for account in accounts {
            self.account(&account);
        }
    }

    fn account(&self, account: &Account) {
        let view = self.view(Credentials {
            uid: account.uid,
            gids: vec![account.gid],
        });
        let home = Secret::new(account.home.as_os_str().as_encoded_bytes());
        let environment: Variables = [("HOME".to_owned(), home)].into_iter().collect();
        let properties = Variables::default();
        let inputs = Inputs {
            environment: &environment,
            properties: &properties,
            profile: None,
            home: Some(&account.home),
            directory: Some(&account.home),
            files: &view,
        };
        let holder = Holder::Account {
            name: account.name.clone(),
            uid: account.uid,
        };
        let guess = Guess::of_account();
        let judged = judge(&guess, &inputs);
        let overrides = endpoint::in_profiles(&holder, &inputs);
        let tools = tools::shadows(account, &view);
        self.tell(|survey| {
            survey.accounts += 1;
            survey.overridden(overrides);
            for shadow in judged.shadows(&holder, &guess).chain(tools) {
                survey.shadow(shadow);
            }
            if let (Some(why), []) = (judged.unknown, &judged.keys[..]) {
                survey.untold(format!("account {}: {why}", account.name));
            }
        });
    }

    fn units(&self) {
        let mut omitted = Omitted::default();
        let units = Units::read(self.root(), Manager::System, &mut omitted);
        let names: Vec<String> = units.names().map(ToOwned::to_owned).collect();
        for name in names {
            let Some(unit) = units.unit(&name, &mut omitted) else {
                continue;
            };
            let environment: Variables = unit
                .started_with(self.root(), &mut omitted)
                .into_iter()
                .filter(|one| is_wanted(&one.name))
                .collect();
            self.tell(|survey| survey.units += 1);
            // Without a word of AWS, a unit is its account, which was asked.
            if environment.names().any(|name| name != "HOME") {
                self.unit(&unit.name, unit.user.as_deref(), environment);
            }
        }
        if omitted.count > 0 {
            let example = omitted.examples.join(", ");
            self.tell(|survey| survey.untold(format!("unit files: {example}")));
        }
    }

    fn unit(&self, name: &str, user: Option<&str>, mut environment: Variables) {
        let accounts = account::list(&self.root()).unwrap_or_default();
        let account = accounts.iter().find(|account| {
            let user = user.unwrap_or("root");
            account.name == user || account.uid.to_string() == user
        });
        let view = self.view(Credentials {
            uid: account.map_or(0, |account| account.uid),
            gids: account.map(|account| account.gid).into_iter().collect(),
        });
        // systemd sets HOME for `User=` alone.
        if let (Some(account), Some(_)) = (account, user) {
            let home = account.home.as_os_str().as_encoded_bytes();
            environment.set("HOME", Secret::new(home), None);
        }
        let properties = Variables::of_java(environment.java_options());
        let inputs = Inputs {
            environment: &environment,
            properties: &properties,
            profile: None,
            home: account.map(|account| account.home.as_path()),
            directory: Some(Path::new("/")),
            files: &view,
        };
        let holder = Holder::Unit(crate::sanitize::line(name).into_owned());
        let guess = Guess::none();
        let judged = judge(&guess, &inputs);
        let overrides = endpoint::of(&holder, None, &guess, &inputs);
        self.tell(|survey| {
            survey.overridden(overrides);
            for shadow in judged.shadows(&holder, &guess) {
                survey.shadow(shadow);
            }
            if let (Some(why), []) = (judged.unknown, &judged.keys[..]) {
                survey.untold(format!("unit {name}: {why}"));
            }
        });
    }

    fn processes(&self) {
        let proc = self.root.join("proc");
        let processes = match process::list(&proc) {
            Ok(processes) => processes,
            // A mounted image runs no processes.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.root != Path::new("/") =>
            {
                return;
            }
            Err(error) => {
                self.tell(|survey| survey.untold(format!("/proc cannot be read: {error}")));
                return;
            }
        };
        if !processes.is_empty() && processes.first().is_none_or(|first| first.pid() != 1) {
            self.tell(|survey| {
                survey.untold("/proc hides the processes of other users (hidepid)".into());
            });
        }
        let own = process::own_pid(&proc);
        let mut known = HashMap::new();
        for process in processes {
            if Some(process.pid()) != own {
                self.process(&process, &mut known);
            }
        }
    }

    /// `known` has the shadowings of the processes so far by their holders.
    fn process(&self, process: &Process, known: &mut HashMap<Holder, Vec<usize>>) {
        let environment = match process.environment(is_wanted) {
            Ok(environment) => environment,
            Err(error) => {
                let is_there = error.kind() == io::ErrorKind::PermissionDenied;
                if is_there && !process.is_without_memory() {
                    self.tell(|survey| {
                        survey.processes += 1;
                        survey.unread += 1;
                    });
                }
                return;
            }
        };
        if environment.is_empty() && process.is_without_memory() {
            return;
        }
        let environment: Variables = environment.into_iter().collect();
        let (Ok(arguments), Ok(id), Some(reader)) =
            (process.arguments(), process.view(), process.credentials())
        else {
            // It ended, or changed whom it runs as.
            if process.open("environ").is_ok() {
                self.tell(|survey| {
                    survey.processes += 1;
                    survey.unread += 1;
                });
            }
            return;
        };
        let uid = reader.uid;
        let view = View {
            cache: self.cache,
            id,
            root: process.root(),
            reader,
        };
        let options = arguments.iter().map(Secret::expose);
        let properties = Variables::of_java(environment.java_options().chain(options));
        let home = view.home(uid);
        let directory = process.link("cwd");
        let profile = runtime::profile_option(&arguments);
        let inputs = Inputs {
            environment: &environment,
            properties: &properties,
            profile: None,
            home: home.as_deref(),
            directory: directory.as_deref(),
            files: &view,
        };
        let program = Program {
            process,
            arguments: &arguments,
            environment: &environment,
            view: &view,
        };
        // A look at the program is for those that something is found in.
        let everywhere = judge(&Guess::none(), &inputs);
        let suspected = !everywhere.keys.is_empty() || everywhere.unknown.is_some();
        let guess = if suspected || profile.is_some() || endpoint::is_suspected(&inputs) {
            runtime::guess(&program)
        } else {
            Guess::none()
        };
        let inputs = Inputs {
            profile: profile.filter(|_| guess.evidence == runtime::AWS_CLI),
            ..inputs
        };
        let judged = if guess.is_some() {
            judge(&guess, &inputs)
        } else {
            everywhere
        };
        let holder = Holder::Process(process.identity());
        let overrides = endpoint::of(&holder, Some(process.pid()), &guess, &inputs);
        self.tell(|survey| {
            survey.processes += 1;
            survey.overridden(overrides);
            for mut shadow in judged.shadows(&holder, &guess) {
                shadow.pids.push(process.pid());
                survey.of_process(shadow, uid, guess.is_some(), known);
            }
            // What its account comes to was told with the account.
            let own_words = guess.is_some() || environment.names().any(|name| name != "HOME");
            if let (Some(why), [], true) = (judged.unknown, &judged.keys[..], own_words) {
                survey.untold(format!("process {}: {why}", process.pid()));
            }
        });
    }
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

impl Guess {
    /// An account may run anything.
    fn of_account() -> Self {
        Self {
            chains: chain::ALL.to_vec(),
            confidence: Confidence::Medium,
            evidence: "",
        }
    }
}
