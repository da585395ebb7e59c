//! The `env_file` of the services in a compose file.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser};

/// Files that are told of one compose file.
const MAX_FILES: usize = 1_000;

/// Collections within each other; services lie three deep.
const MAX_DEPTH: usize = 100;

/// A file with variables, as the compose file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnvFile {
    pub(super) service: String,
    pub(super) path: String,
}

/// A collection that is open.
struct Level {
    is_mapping: bool,
    /// Of a mapping, whose value is to come.
    key: Option<String>,
    /// What aliases know it by; 0 for none.
    anchor: usize,
}

#[derive(Default)]
struct Reading {
    levels: Vec<Level>,
    /// Of mappings with an anchor.
    anchored: HashMap<usize, Vec<String>>,
    own: Vec<EnvFile>,
    /// Those that services take over from others with `<<`.
    merged: Vec<EnvFile>,
    count: usize,
}

/// The files of each service, as far as the YAML can be read.
pub(super) fn named(text: &str) -> Vec<EnvFile> {
    let mut reading = Reading::default();
    for event in Parser::new_from_str(text) {
        // Behind an error nothing is known.
        let Ok((event, _)) = event else { break };
        if reading.levels.len() > MAX_DEPTH || reading.count > MAX_FILES {
            break;
        }
        reading.take(event);
    }
    let Reading { own, merged, .. } = reading;
    let with_own: HashSet<_> = own.iter().map(|file| file.service.clone()).collect();
    let merged = merged
        .into_iter()
        .filter(|file| !with_own.contains(&file.service));
    own.iter().cloned().chain(merged).collect()
}

impl Reading {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::MappingStart(anchor, _) => self.open(true, anchor),
            Event::SequenceStart(anchor, _) => self.open(false, anchor),
            Event::MappingEnd | Event::SequenceEnd => {
                self.levels.pop();
                self.close();
            }
            Event::Scalar(value, ..) => {
                match self.levels.last_mut() {
                    Some(level) if level.is_mapping && level.key.is_none() => {
                        level.key = Some(value.into_owned());
                        return;
                    }
                    _ => self.value(&value),
                }
                self.close();
            }
            Event::Alias(anchor) => {
                self.merge(anchor);
                self.close();
            }
            _ => {}
        }
    }

    fn open(&mut self, is_mapping: bool, anchor: usize) {
        self.levels.push(Level {
            is_mapping,
            key: None,
            anchor,
        });
    }

    /// A value has ended, or what is no text and stands for a key.
    fn close(&mut self) {
        if let Some(level) = self.levels.last_mut().filter(|level| level.is_mapping) {
            level.key = match level.key.take() {
                Some(_) => None,
                None => Some(String::new()),
            };
        }
    }

    /// The service whose mapping this level is.
    fn service(&self, level: usize) -> Option<String> {
        let [top, services] = self.levels.get(..level)? else {
            return None;
        };
        let is_top = top.key.as_deref() == Some("services");
        services.key.clone().filter(|_| is_top)
    }

    /// The level of the mapping with this key whose value is at hand, alone or
    /// in a list, or as the `path` of an entry of the list.
    fn level_of(&self, key: &str) -> Option<usize> {
        let has = |level: &Level, key: &str| level.key.as_deref() == Some(key);
        let mut levels = self.levels.as_slice();
        if let [before @ .., list, entry] = levels
            && !list.is_mapping
            && has(entry, "path")
        {
            levels = before;
        } else if let [before @ .., list] = levels
            && !list.is_mapping
        {
            levels = before;
        }
        let (last, before) = levels.split_last()?;
        has(last, key).then_some(before.len())
    }

    fn value(&mut self, value: &str) {
        let Some(level) = self.level_of("env_file") else {
            return;
        };
        self.count += 1;
        if let Some(service) = self.service(level) {
            let path = value.to_owned();
            self.own.push(EnvFile { service, path });
        }
        let anchor = self.levels[level].anchor;
        if anchor != 0 {
            let anchored = self.anchored.entry(anchor).or_default();
            anchored.push(value.to_owned());
        }
    }

    fn merge(&mut self, anchor: usize) {
        let Some(level) = self.level_of("<<") else {
            return;
        };
        let paths = self.anchored.get(&anchor).cloned().unwrap_or_default();
        self.count += paths.len();
        if let Some(service) = self.service(level) {
            let merged = paths.iter().map(|path| EnvFile {
                service: service.clone(),
                path: path.clone(),
            });
            self.merged.extend(merged);
        }
        let anchor = self.levels[level].anchor;
        if anchor != 0 {
            self.anchored.entry(anchor).or_default().extend(paths);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let named = named(text).into_iter();
        named
            .map(|file| format!("{} {}", file.service, file.path))
            .collect()
    }

    #[test]
    fn an_env_file_is_a_text_a_list_or_a_list_of_entries() {
        let text = "name: shop\nservices:\n\
            \x20 a:\n    image: x\n    env_file: a.env\n    ports: [env_file]\n\
            \x20 b:\n    env_file:\n      - one.env\n      - path: ./two.env\n        required: false\n\
            \x20 c: {env_file: [{required: true, path: /three.env}], build: {env_file: no}}\n\
            volumes:\n  d:\n    env_file: no\n";
        let wanted = ["a a.env", "b one.env", "b ./two.env", "c /three.env"];
        assert_eq!(told(text), wanted);
    }

    #[test]
    fn a_service_takes_over_what_it_does_not_say_itself() {
        let text = "x-base: &base\n  env_file: [base.env]\nservices:\n\
            \x20 a: &a\n    <<: *base\n  b:\n    <<: [*a]\n    image: x\n\
            \x20 c:\n    <<: *base\n    env_file: own.env\n";
        assert_eq!(told(text), ["c own.env", "a base.env", "b base.env"]);
    }

    #[test]
    fn what_is_no_compose_file_names_none() {
        for text in [
            "",
            "\0",
            "- services",
            "services:\n- a: {env_file: x}",
            "services: {a: {env_file: {[x]: y}, ? [p, q] : env_file}}",
            "services: *gone",
        ] {
            assert_eq!(told(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_is_made_to_grow_ends_soon() {
        let deep = "[".repeat(1_000_000);
        let files = "a,".repeat(400_000);
        let many = format!("services: {{a: {{env_file: [{files}]}}}}");
        let first = "x0: &x0 {env_file: [a, a, a, a, a, a, a, a, a]}\n".to_owned();
        let doubled = (1..10_000).map(|n| {
            let before = n - 1;
            format!("x{n}: &x{n} {{<<: [*x{before}, *x{before}]}}\n")
        });
        let bombs: String = std::iter::once(first).chain(doubled).collect();
        for text in [deep, many, bombs, "{a: ".repeat(250_000)] {
            assert!(named(&text).len() <= MAX_FILES + 1);
        }
    }
}
