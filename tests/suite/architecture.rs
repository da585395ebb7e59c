//! The rules of the house, read off the source: who may import whom, where a
//! library may be named, what a file may be called and how long it may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import of the others. The composition root, `main`,
/// is not listed: it alone sees everything.
const IMPORTS: &[(&str, &[&str])] = &[
    ("alarm", &["finding", "sanitize"]),
    ("aws", &["sanitize", "secret"]),
    (
        "check",
        &[
            "alarm", "config", "deadline", "finding", "outcome", "posture", "report", "scan",
            "secret", "settings", "ship", "verify",
        ],
    ),
    ("cli", &["config", "finding", "outcome", "sanitize"]),
    ("config", &["finding", "sanitize", "secret"]),
    (
        "daemon",
        &[
            "alarm", "config", "deadline", "finding", "host", "ledger", "posture", "report",
            "sanitize", "scan", "settings", "ship", "source", "status",
        ],
    ),
    ("deadline", &[]),
    ("detect", &["finding", "secret"]),
    ("finding", &["secret"]),
    ("front", &[]),
    ("heap", &[]),
    ("host", &["sanitize", "secret", "sparing"]),
    ("imds", &["sanitize", "secret"]),
    ("ledger", &["finding"]),
    ("logging", &["sanitize"]),
    ("outcome", &[]),
    (
        "posture",
        &["aws", "finding", "host", "imds", "sanitize", "secret"],
    ),
    ("progress", &["scan"]),
    ("report", &["finding", "sanitize"]),
    ("sanitize", &[]),
    (
        "scan",
        &[
            "config", "deadline", "detect", "finding", "heap", "host", "sanitize", "secret",
            "source",
        ],
    ),
    ("secret", &[]),
    (
        "settings",
        &[
            "aws", "config", "deadline", "finding", "ledger", "posture", "scan", "ship", "verify",
        ],
    ),
    ("ship", &["aws", "finding", "sanitize"]),
    (
        "source",
        &["finding", "heap", "host", "sanitize", "secret", "sparing"],
    ),
    ("sparing", &[]),
    ("status", &["finding", "ledger", "sanitize"]),
    ("verify", &["aws", "finding", "secret"]),
];

/// Words that stand in one place only.
const CONFINED: &[(&str, &[&str])] = &[
    ("clap::", &["cli.rs", "cli/arguments.rs"]),
    (
        "aws_sdk_cloudwatchlogs::",
        &["ship/cloudwatch.rs", "ship/decision.rs"],
    ),
    ("aws_sdk_iam::", &["aws/iam.rs"]),
    ("aws_sdk_sts::", &["aws/sts.rs"]),
    ("anyhow::", &["main.rs", "check.rs"]),
    (
        "rusqlite::",
        &[
            "ledger.rs",
            "ledger/error.rs",
            "ledger/facts.rs",
            "ledger/findings.rs",
            "ledger/format.rs",
            "ledger/open.rs",
            "ledger/outbox.rs",
            "ledger/scan_cache.rs",
        ],
    ),
    ("std::env::", &["main.rs"]),
    ("println!", &[]),
];

/// Names that say nothing of what is in a file.
const EMPTY_NAMES: &[&str] = &["mod", "util", "utils", "common", "helpers", "types", "misc"];

/// Lines of a file without its tests.
const MAX_LINES: usize = 500;

struct Source {
    /// Below `src`.
    path: PathBuf,
    /// Without tests and comments.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            let path = path.strip_prefix(&root).unwrap().to_owned();
            sources.push(Source { path, code });
        }
    }
    assert!(sources.len() > 50, "the sources were not read");
    sources
}

/// The module at the top of the crate that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// The modules named in `crate::…` and `crate::{…}`.
fn imports(code: &str) -> BTreeSet<String> {
    let first_word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                names.extend(list.split(',').map(|part| first_word(part.trim())));
            }
            None => {
                names.insert(first_word(rest));
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn modules_import_only_what_the_design_lets_them() {
    let allowed: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = module(&source.path);
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let Some(allowed) = allowed.get(module.as_str()) else {
            wrong.push(format!("{module} has no row in IMPORTS"));
            continue;
        };
        for import in imports(&source.code) {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_permission_to_import_is_used() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        used.entry(module(&source.path))
            .or_default()
            .extend(imports(&source.code));
    }
    for (module, allowed) in IMPORTS {
        for import in *allowed {
            let known = used
                .get(*module)
                .is_some_and(|imports| imports.contains(*import));
            assert!(known, "{module} may import {import} and does not");
        }
    }
}

#[test]
fn the_imports_have_no_circle() {
    let mut left: BTreeMap<&str, Vec<&str>> = IMPORTS
        .iter()
        .map(|(module, imports)| (*module, imports.to_vec()))
        .collect();
    while let Some(leaf) = left
        .iter()
        .find(|(_, imports)| imports.is_empty())
        .map(|(m, _)| *m)
    {
        left.remove(leaf);
        for imports in left.values_mut() {
            imports.retain(|import| *import != leaf);
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn libraries_are_named_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (word, files) in CONFINED {
            let here = source.path.to_str().unwrap();
            if source.code.contains(word) && !files.contains(&here) {
                wrong.push(format!("{here} names {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_have_telling_names_and_one_subject() {
    for source in sources() {
        let name = source.path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !EMPTY_NAMES.contains(&name),
            "{} says nothing",
            source.path.display()
        );
        let lines = source.code.lines().count();
        assert!(
            lines <= MAX_LINES,
            "{} has {lines} lines",
            source.path.display()
        );
    }
}

#[test]
fn unsafe_code_stands_where_no_library_has_the_call_and_is_justified() {
    const BLOCKS: [(&str, usize); 3] = [
        ("heap.rs", 2),
        ("imds/hop_limit.rs", 1),
        ("scan/priority.rs", 1),
    ];
    for source in sources() {
        let here = source.path.to_str().unwrap();
        let count = source.code.matches("unsafe {").count();
        let allowed = BLOCKS.iter().find(|(file, _)| *file == here);
        let allowed = allowed.map_or(0, |(_, count)| *count);
        assert!(count <= allowed, "{here} has {count} unsafe blocks");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(here);
        let reasons = fs::read_to_string(path).unwrap();
        let reasons = reasons.matches("// SAFETY:").count();
        assert!(reasons >= count, "{here} gives {reasons} reasons");
    }
}
