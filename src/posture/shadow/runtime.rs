//! Which SDK a process uses, as far as it can be told from outside. A library
//! that is installed need not be used, and a bundle hides what is in it, so
//! that nothing here is certain but programs that are known by name.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::chain::{self, Chain};
use super::elf;
use super::variables::Variables;
use super::view::View;
use crate::finding::Confidence;
use crate::host::process::{Process, as_path};
use crate::secret::Secret;

/// Directories looked at from a script upwards.
const MAX_LEVELS: usize = 12;

/// Jars that are looked into.
const MAX_JARS: usize = 8;

/// Bytes of the end of a jar, where the list of its members is.
const JAR_TAIL: u64 = 1024 * 1024;

/// The evidence for the AWS CLI, into which nobody writes credentials.
pub(super) const AWS_CLI: &str = "the AWS CLI";

/// What is thought of a process.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    /// Those that it may use; all of them where nothing tells.
    pub(super) chains: Vec<&'static Chain>,
    pub(super) confidence: Confidence,
    /// Why, as it is told.
    pub(super) evidence: &'static str,
}

impl Guess {
    fn new(
        chains: impl Into<Vec<&'static Chain>>,
        confidence: Confidence,
        evidence: &'static str,
    ) -> Self {
        Self {
            chains: chains.into(),
            confidence,
            evidence,
        }
    }

    /// Nothing tells.
    pub(super) fn none() -> Self {
        Self::new(chain::ALL, Confidence::Low, "its SDK is not known")
    }

    /// Whether anything tells.
    pub(super) fn is_some(&self) -> bool {
        self.chains.len() < chain::ALL.len()
    }
}

/// A process as far as a guess looks at it.
pub(super) struct Program<'a> {
    pub(super) process: &'a Process,
    pub(super) arguments: &'a [Secret],
    pub(super) environment: &'a Variables,
    pub(super) view: &'a View<'a>,
}

pub(super) fn guess(program: &Program<'_>) -> Guess {
    use Confidence::{High, Low, Medium};

    let Some(exe) = program.process.link("exe") else {
        return Guess::none();
    };
    let name = file_name(&exe);
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    match name {
        "aws" => return Guess::new([&chain::CLI_V2], High, AWS_CLI),
        "terraform" => return Guess::new([&chain::GO_V2], Medium, "Terraform"),
        "goofys" => return Guess::new([&chain::GO_V1], Medium, "goofys"),
        "vector" => return Guess::new([&chain::RUST], Medium, "vector"),
        "fluent-bit" => return Guess::new([&chain::FLUENT_BIT], Medium, "fluent-bit"),
        "mount-s3" => return Guess::new([&chain::MOUNTPOINT], Medium, "mountpoint-s3"),
        "node" | "nodejs" => return node(program),
        "java" => return java(program),
        _ => {}
    }
    if name.starts_with("python") {
        return python(program, &exe);
    }
    if name.starts_with("php") {
        let installed = program.above("vendor/aws/aws-sdk-php");
        return if installed {
            Guess::new([&chain::PHP], Medium, "PHP with the SDK beside it")
        } else {
            Guess::new([&chain::PHP], Low, "PHP")
        };
    }
    if name.starts_with("ruby") {
        let locked = program
            .find_above("Gemfile.lock")
            .and_then(|lock| program.view.read(&lock))
            .is_some_and(|lock| holds(&lock, b"aws-sdk-core"));
        return if locked {
            Guess::new(
                [&chain::RUBY],
                Medium,
                "Ruby with the SDK in its Gemfile.lock",
            )
        } else {
            Guess::new([&chain::RUBY], Low, "Ruby")
        };
    }
    let in_use = program.process.files_in_use();
    if let Some(core) = in_use
        .iter()
        .find(|path| file_name(path) == "AWSSDK.Core.dll")
    {
        return dotnet(program, core);
    }
    let cpp = |path: &PathBuf| {
        let name = file_name(path);
        name.starts_with("libaws-cpp-sdk-core.so")
    };
    if in_use.iter().any(cpp) {
        return Guess::new([&chain::CPP], High, "the C++ SDK is loaded");
    }
    let built = program
        .process
        .open("exe")
        .map(|exe| elf::built_in(&exe))
        .unwrap_or_default();
    match built {
        elf::Built {
            go_v1: true,
            go_v2: true,
            ..
        } => Guess::new(
            [&chain::GO_V2, &chain::GO_V1],
            Medium,
            "both Go SDKs are built in",
        ),
        elf::Built { go_v2: true, .. } => {
            Guess::new([&chain::GO_V2], High, "the Go SDK 2 is built in")
        }
        elf::Built { go_v1: true, .. } => {
            Guess::new([&chain::GO_V1], High, "the Go SDK 1 is built in")
        }
        elf::Built { go: true, .. } => {
            Guess::new([&chain::GO_V2, &chain::GO_V1], Low, "a Go program")
        }
        elf::Built { rust: true, .. } => {
            Guess::new([&chain::RUST], Medium, "the Rust SDK is built in")
        }
        _ => Guess::none(),
    }
}

fn python(program: &Program<'_>, exe: &Path) -> Guess {
    use Confidence::{High, Low, Medium};

    match program.script().as_deref().map(file_name) {
        Some("aws") => return Guess::new([&chain::CLI_V1], High, AWS_CLI),
        Some("s3cmd") => return Guess::new([&chain::S3CMD], Medium, "s3cmd"),
        _ => {}
    }
    let version = file_name(exe);
    let mut prefixes: Vec<PathBuf> = Vec::new();
    prefixes.extend(program.environment.text("VIRTUAL_ENV").map(PathBuf::from));
    // A virtual environment is entered by the path of its interpreter.
    let called = program.arguments.first().map(as_path);
    prefixes.extend(
        [called, Some(exe)]
            .into_iter()
            .flatten()
            .filter_map(|path| Some(path.parent()?.parent()?.to_owned())),
    );
    prefixes.extend(
        program
            .environment
            .text("HOME")
            .map(|home| Path::new(home).join(".local")),
    );
    prefixes.push("/usr".into());
    prefixes.push("/usr/local".into());
    let installed = prefixes.iter().any(|prefix| {
        ["lib", "lib64"].iter().any(|lib| {
            [version, "python3"].iter().any(|python| {
                ["site-packages", "dist-packages"].iter().any(|packages| {
                    let folder = prefix.join(lib).join(python).join(packages);
                    program.view.exists(&folder.join("botocore"))
                })
            })
        })
    });
    if installed || program.above("botocore") {
        Guess::new([&chain::BOTOCORE], Medium, "Python with botocore installed")
    } else {
        Guess::new([&chain::BOTOCORE], Low, "Python")
    }
}

fn node(program: &Program<'_>) -> Guess {
    use Confidence::{Low, Medium};

    match (
        program.above("node_modules/@aws-sdk"),
        program.above("node_modules/aws-sdk"),
    ) {
        (true, false) => Guess::new(
            [&chain::JS_V3],
            Medium,
            "Node.js with the SDK 3 in its node_modules",
        ),
        (false, true) => Guess::new(
            [&chain::JS_V2],
            Medium,
            "Node.js with the SDK 2 in its node_modules",
        ),
        _ => Guess::new([&chain::JS_V3, &chain::JS_V2], Low, "Node.js"),
    }
}

fn java(program: &Program<'_>) -> Guess {
    use Confidence::{High, Low, Medium};

    let mut files = program.process.files_in_use();
    let of_arguments = program.arguments.iter().flat_map(|argument| {
        let text = argument.expose_str().unwrap_or_default();
        text.split(':').filter(|path| is_jar(Path::new(path)))
    });
    files.extend(of_arguments.map(PathBuf::from));
    let named = |path: &PathBuf| {
        let name = file_name(path);
        [
            name.starts_with("aws-java-sdk-core-"),
            ["auth-2.", "sdk-core-2.", "aws-core-2."]
                .iter()
                .any(|sdk| name.starts_with(sdk)),
            name.starts_with("aws-config-jvm-"),
        ]
    };
    let within = |path: &PathBuf| {
        let tail = jar_tail(program, path).unwrap_or_default();
        [
            holds(&tail, b"aws-java-sdk-core-") || holds(&tail, b"com/amazonaws/auth/"),
            holds(&tail, b"lib/auth-2.") || holds(&tail, b"software/amazon/awssdk/auth/"),
            holds(&tail, b"aws-config-jvm-"),
        ]
    };
    let jars = || files.iter().filter(|path| is_jar(path)).take(MAX_JARS);
    let any = |found: [bool; 3], one: [bool; 3]| -> [bool; 3] {
        std::array::from_fn(|at| found[at] || one[at])
    };
    let mut found = files.iter().map(named).fold([false; 3], any);
    if found == [false; 3] {
        found = jars().map(within).fold([false; 3], any);
    }
    let all: [&'static Chain; 3] = [&chain::JAVA_V1, &chain::JAVA_V2, &chain::KOTLIN];
    let chains: Vec<_> = (0..3).filter(|at| found[*at]).map(|at| all[at]).collect();
    match chains.len() {
        0 => Guess::new(all, Low, "Java"),
        1 => Guess::new(chains, High, "Java with the SDK among its jars"),
        _ => Guess::new(chains, Medium, "Java with several SDKs among its jars"),
    }
}

fn is_jar(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "jar" || end == "war")
}

fn jar_tail(program: &Program<'_>, path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(program.view.locate(&program.absolute(path))?)
        .ok()?;
    let stat = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let offset = stat.len().saturating_sub(JAR_TAIL);
    let mut tail = vec![0; usize::try_from(stat.len() - offset).ok()?];
    file.read_exact_at(&mut tail, offset).ok()?;
    Some(tail)
}

/// Versions 3 and 4 have one file name; the list of what an application
/// depends on tells them apart.
fn dotnet(program: &Program<'_>, core: &Path) -> Guess {
    let folder = core.parent().unwrap_or(Path::new("/"));
    let lists = program.view.list(folder).into_iter();
    let is = |version: &[u8]| {
        lists
            .clone()
            .filter(|path| file_name(path).ends_with(".deps.json"))
            .filter_map(|path| program.view.read(&path))
            .any(|list| holds(&list, version))
    };
    match (is(b"\"AWSSDK.Core/3."), is(b"\"AWSSDK.Core/4.")) {
        (true, false) => Guess::new([&chain::DOTNET_V3], Confidence::High, ".NET with the SDK 3"),
        (false, true) => Guess::new([&chain::DOTNET_V4], Confidence::High, ".NET with the SDK 4"),
        _ => Guess::new(
            [&chain::DOTNET_V3, &chain::DOTNET_V4],
            Confidence::Medium,
            ".NET with the SDK",
        ),
    }
}

/// The profile that `--profile` names, as the AWS CLI takes it.
pub(super) fn profile_option(arguments: &[Secret]) -> Option<&str> {
    let mut arguments = arguments.iter().filter_map(Secret::expose_str);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--profile") {
            Some("") => return arguments.next(),
            Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
            _ => {}
        }
    }
    None
}

impl Program<'_> {
    /// The first argument that is no option, which interpreters run.
    fn script(&self) -> Option<PathBuf> {
        let mut arguments = self.arguments.iter().skip(1);
        let script = arguments.find(|argument| !argument.expose().starts_with(b"-"))?;
        Some(self.absolute(as_path(script)))
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let directory = self.process.link("cwd");
        directory.unwrap_or_else(|| "/".into()).join(path)
    }

    /// Whether a directory from the script's or the working one upwards has
    /// `name` in it.
    fn above(&self, name: &str) -> bool {
        self.find_above(name).is_some()
    }

    fn find_above(&self, name: &str) -> Option<PathBuf> {
        let script = self.script();
        let script = script.as_deref().and_then(Path::parent);
        let directory = self.process.link("cwd");
        [script, directory.as_deref()]
            .into_iter()
            .flatten()
            .flat_map(|folder| folder.ancestors().take(MAX_LEVELS))
            .map(|folder| folder.join(name))
            .find(|path| self.view.exists(path))
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(bytes, text).is_some()
}
