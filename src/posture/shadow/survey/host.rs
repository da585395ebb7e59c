//! The look at the host: its accounts, its units, its processes.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::super::endpoint;
use super::super::resolve::Inputs;
use super::super::runtime::{self, Guess, Program};
use super::super::tools;
use super::super::variables::{Variables, is_wanted};
use super::super::view::{Cache, View};
use super::{Holder, Shadow, Survey, judge};
use crate::host::account::{self, Account};
use crate::host::process::{self, Credentials, Process};
use crate::host::unit::{Manager, Units, default_environment};
use crate::host::{Omitted, Root, php_fpm};
use crate::sanitize;
use crate::secret::Secret;

pub(super) struct Host<'h> {
    pub(super) root: &'h Path,
    pub(super) cache: &'h Cache,
    pub(super) survey: &'h Mutex<Survey>,
}

impl Host<'_> {
    pub(super) fn tell<T>(&self, tell: impl FnOnce(&mut Survey) -> T) -> T {
        let mut survey = self.survey.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&mut survey)
    }

    fn root(&self) -> Root<'_> {
        Root {
            path: self.root,
            avoid: &|_| None,
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

    pub(super) fn accounts(&self) {
        let accounts = account::list(&self.root()).unwrap_or_else(|error| {
            self.tell(|survey| survey.untold(format!("/etc/passwd cannot be read: {error}")));
            Vec::new()
        });
        for account in accounts {
            self.account(&account);
            self.tell(|survey| survey.accounts += 1);
        }
    }

    /// As its services see it, and as its logins do.
    fn account(&self, account: &Account) {
        self.account_with(account, Variables::default());
        let login = account::login_environment(&self.root(), account);
        let login: Variables = login
            .into_iter()
            .filter(|one| is_wanted(&one.name))
            .collect();
        if login.names().next().is_some() {
            self.account_with(account, login);
        }
    }

    fn account_with(&self, account: &Account, mut environment: Variables) {
        let view = self.view(Credentials {
            uid: account.uid,
            gids: vec![account.gid],
        });
        let home = Secret::new(account.home.as_os_str().as_encoded_bytes());
        environment.set("HOME", home, None);
        let properties = Variables::of_java(environment.java_options());
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
        let guess = Guess {
            evidence: "",
            ..Guess::none()
        };
        let judged = judge(&guess, &inputs);
        let overrides = endpoint::of(&holder, None, &guess, &inputs);
        let tools = tools::shadows(account, &view);
        self.tell(|survey| {
            survey.overridden(overrides);
            for shadow in judged.shadows(&holder, &guess).chain(tools) {
                let is_same = |known: &Shadow| known.holder == holder && known.key == shadow.key;
                if !survey.shadows.iter().any(is_same) {
                    survey.shadow(shadow);
                }
            }
            if let (Some(why), []) = (judged.unknown, &judged.keys[..]) {
                survey.untold(format!("account {}: {why}", account.name));
            }
        });
    }

    pub(super) fn units(&self) {
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
        // Told once, and not for each of a hundred units.
        let of_all = default_environment(self.root(), &mut omitted);
        let of_all: Variables = of_all
            .into_iter()
            .filter(|one| is_wanted(&one.name))
            .collect();
        if of_all.names().next().is_some() {
            self.unit("(every unit)", None, of_all);
        }
        if omitted.count > 0 {
            let example = omitted.examples.join(", ");
            self.tell(|survey| survey.untold(format!("unit files: {example}")));
        }
    }

    /// What php-fpm sets for the programs of a pool.
    pub(super) fn pools(&self) {
        let mut omitted = Omitted::default();
        for pool in php_fpm::pools(self.root(), &mut omitted) {
            let environment = pool.environment.into_iter();
            let environment: Variables = environment.filter(|one| is_wanted(&one.name)).collect();
            if environment.names().next().is_some() {
                let name = format!("php-fpm pool {}", pool.name);
                self.unit(&name, pool.user.as_deref(), environment);
            }
        }
        if omitted.count > 0 {
            let example = omitted.examples.join(", ");
            self.tell(|survey| survey.untold(format!("pools of php-fpm: {example}")));
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
        let holder = Holder::Unit(sanitize::line(name).into_owned());
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

    pub(super) fn processes(&self) {
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
        // rolecall signs with the role alone, whatever its environment holds.
        let own = process::own_program(&proc);
        let init = process::has_init(&proc).then_some(1);
        let mut known = HashMap::new();
        // Last those whose memory may be locked by what they wait for.
        let (waiting, others): (Vec<_>, Vec<_>) =
            processes.into_iter().partition(Process::waits_for_kernel);
        for process in others.into_iter().chain(waiting) {
            // What init hands on is seen in those that it starts; some keep
            // it from everybody's eyes.
            if Some(process.pid()) == init && process.environment(is_wanted).is_err() {
                continue;
            }
            if (own.is_none() || process.program() != own)
                && let Some(process) = process.in_memory()
            {
                self.process(&process, &mut known);
            }
        }
    }

    /// Counts a process that none of its parts can be read of, if it has any
    /// and is still there.
    fn unread(&self, process: &Process) {
        let is_there = process.open("status").is_ok();
        if is_there && process.in_memory().is_some() {
            self.tell(|survey| {
                survey.processes += 1;
                survey.unread += 1;
            });
        }
    }

    /// `known` has the shadowings of the processes so far by their holders.
    fn process(&self, process: &Process, known: &mut HashMap<Holder, Vec<usize>>) {
        let environment = match process.environment(is_wanted) {
            Ok(environment) => environment,
            Err(error) if has_ended(&error) => return,
            Err(_) => return self.unread(process),
        };
        if environment.is_empty() && process.in_memory().is_none() {
            return;
        }
        let environment: Variables = environment.into_iter().collect();
        let (Ok(arguments), Ok(id), Some(reader)) =
            (process.arguments(), process.view(), process.credentials())
        else {
            return self.unread(process);
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

/// Whether reading failed because the process is no more.
fn has_ended(error: &io::Error) -> bool {
    let ended = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ended)
}
