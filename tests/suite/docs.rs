//! The pages: every rule has its fix, every command of AWS's exists, every
//! link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use regex::Regex;
use rolecall::finding::{Instance, PostureCheck, Rule, Verdict, posture_remediation, remediation};

use crate::support::python::python;
use crate::support::validators::repository;

fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(repository("docs")).unwrap();
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    paths.push(repository("README.md"));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The part of docs/findings.md that a rule has.
fn section(page: &str, rule: Rule) -> String {
    let heading = format!("### `{}`\n", rule.name());
    let (_, rest) = page
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no section of {}", rule.name()));
    rest.split("\n##").next().unwrap().to_owned()
}

/// `aws ec2 describe-instances` and its like.
fn commands(text: &str) -> BTreeSet<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Regex::new(r"\baws [a-z0-9]+ [a-z0-9-]+")
        .unwrap()
        .find_iter(&text)
        .map(|found| found.as_str().to_owned())
        .collect()
}

#[test]
fn every_rule_has_a_section_with_the_commands_of_its_remediation() {
    let page = fs::read_to_string(repository("docs/findings.md")).unwrap();
    let instance = Instance::default();
    for rule in Rule::ALL {
        let section = section(&page, *rule);
        let general = commands(&page);
        let here = commands(&section);
        for command in commands(&remediation(*rule, None, &instance)) {
            assert!(general.contains(&command), "{}: {command}", rule.name());
        }
        let told = remediation(*rule, None, &instance);
        let own = commands(&told).iter().any(|command| here.contains(command));
        assert!(
            own || commands(&told).is_empty(),
            "{}: none of {told}",
            rule.name()
        );
    }
}

#[test]
fn every_cause_that_has_its_own_remedy_is_in_its_section() {
    let page = fs::read_to_string(repository("docs/findings.md")).unwrap();
    let instance = Instance::default();
    for (rule, causes) in [
        (
            Rule::ImdsUnreachable,
            &[
                "locked-by-host",
                "refused",
                "timed-out",
                "token-timed-out",
                "proxy",
                "throttled",
            ][..],
        ),
        (
            Rule::RoleCredentialsUnusable,
            &[
                "AssumeRoleUnauthorizedAccess",
                "InstanceProfileNotFound",
                "clock-skew",
                "InvalidClientTokenId",
                "AccessDenied",
                "SignatureDoesNotMatch",
                "expired",
                "not-rotated",
                "ExpiredToken",
            ][..],
        ),
    ] {
        let section = section(&page, rule);
        for cause in causes {
            let mut check = PostureCheck::new(rule, Verdict::Fail, "");
            check.observed = Some((*cause).to_owned());
            let told = posture_remediation(&check, &instance);
            assert_ne!(told, remediation(rule, None, &instance), "{cause}");
            assert!(section.contains(&format!("`{cause}`")), "{cause}");
            for command in commands(&told) {
                assert!(commands(&section).contains(&command), "{cause}: {command}");
            }
        }
    }
}

#[test]
fn every_command_of_aws_and_every_option_of_it_exists() {
    const PROGRAM: &str = r"
import re, sys, botocore.session
from botocore import xform_name
session = botocore.session.get_session()
BEYOND_THE_API = {('s3', 'cp'), ('cloudformation', 'deploy')}
GLOBAL = {'query', 'output', 'region', 'cli-input-json'}
wrong, count = [], 0
for path in sys.argv[1:]:
    text = re.sub(r'\\\n\s*', ' ', open(path).read())
    # Prose may break a command within its quotes.
    text = re.sub(r'`(aws [^`]*)`', lambda m: '`' + ' '.join(m[1].split()) + '`', text)
    for service, operation, rest in re.findall(r'\baws ([a-z0-9]+) ([a-z0-9-]+)([^\n`;&|)]*)', text):
        count += 1
        if (service, operation) in BEYOND_THE_API:
            continue
        try:
            model = session.get_service_model(service)
        except Exception:
            wrong.append(f'{path}: aws {service}')
            continue
        names = {xform_name(name, '-'): name for name in model.operation_names}
        if operation not in names:
            wrong.append(f'{path}: aws {service} {operation}')
            continue
        shape = model.operation_model(names[operation]).input_shape
        members = {xform_name(name, '-') for name in shape.members} if shape else set()
        for option in re.findall(r'(?:^|\s)--([a-z][a-z0-9-]*)', rest):
            if option not in members | GLOBAL:
                wrong.append(f'{path}: aws {service} {operation} --{option}')
print(count)
sys.exit('\n'.join(wrong) or 0)
";
    let directory = tempfile::tempdir().unwrap();
    let told: Vec<String> = Rule::ALL
        .iter()
        .map(|rule| remediation(*rule, None, &Instance::default()))
        .collect();
    let remedies = directory.path().join("remediation");
    fs::write(&remedies, told.join("\n")).unwrap();
    let mut paths: Vec<PathBuf> = pages().into_iter().map(|(path, _)| path).collect();
    paths.push(remedies);
    let count = python(PROGRAM, &paths);
    assert!(count.trim().parse::<u32>().unwrap() > 40, "{count}");
}

#[test]
fn every_link_leads_to_a_file_of_the_repository() {
    let link = Regex::new(r"\]\(([^)#]+)(#[^)]*)?\)").unwrap();
    let mut seen = 0;
    for (path, text) in pages() {
        for found in link.captures_iter(&text) {
            if found[1].contains("://") {
                continue;
            }
            seen += 1;
            let target = path.parent().unwrap().join(&found[1]);
            assert!(target.exists(), "{}: {}", path.display(), &found[1]);
        }
    }
    assert!(seen > 10);
}
