//! Keys in user-data: in whatever form it is given, and told once although
//! cloud-init keeps many copies of it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::host::{Host, KeyPair};
use crate::support::imds_double::{Builder, Fault, ImdsDouble, USER_DATA};
use crate::support::rolecall::{Ran, Rolecall};

const HERE: &str = "/var/lib/cloud/instances/i-0123456789abcdef0";

/// A check of `host`, whose metadata service is `imds`.
fn check(host: &Host, imds: Builder) -> Ran {
    let imds = imds.start();
    Rolecall::new(["check", "--format", "json", "--ship", "never", "--root"])
        .arg(host.root())
        .arg("--imds-endpoint")
        .arg(imds.endpoint())
        .run()
}

fn scan(host: &Host) -> Ran {
    Rolecall::new(["scan", "--format", "json", "--root"])
        .arg(host.root())
        .run()
}

fn keys(ran: &Ran) -> Vec<Value> {
    let mut findings = ran.of_type("finding");
    findings.retain(|finding| finding["location"]["source"] != "posture");
    findings
}

fn script(pair: &KeyPair) -> String {
    format!("#!/bin/sh\n{}exec /srv/app\n", pair.env())
}

/// What a program of Python's standard library makes of `input`: an
/// implementation of MIME and gzip that is not ours.
fn python(program: &str, input: &str) -> Vec<u8> {
    use std::io::Write as _;

    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Writes what cloud-init keeps of `text` on the instance `folder` is of.
fn keep_copies(host: &Host, folder: &str, text: &str) -> Vec<String> {
    let at = |name: &str| format!("{folder}/{name}");
    let mime = format!(
        "Content-Type: multipart/mixed; boundary=\"===1==\"\nMIME-Version: 1.0\n\n--===1==\n\
         Content-Type: text/x-shellscript; charset=\"utf-8\"\nMIME-Version: 1.0\n\
         Content-Disposition: attachment; filename=\"part-001\"\n\n{text}\n--===1==--\n"
    );
    let json = serde_json::json!({"ds": {}, "userdata": text}).to_string();
    let copies = [
        (at("user-data.txt"), text.to_owned()),
        (at("user-data.txt.i"), mime),
        (at("scripts/part-001"), text.to_owned()),
        (at("obj.pkl"), format!("\x00\x01{text}\x00")),
        ("/run/cloud-init/instance-data-sensitive.json".into(), json),
    ];
    let mut paths = Vec::new();
    for (path, content) in copies {
        host.write(path.trim_start_matches('/'), content);
        paths.push(path);
    }
    paths.sort();
    paths
}

fn also_in(finding: &Value) -> Vec<String> {
    let places = finding["also_in"].as_array().cloned().unwrap_or_default();
    let mut places: Vec<String> = places
        .iter()
        .map(|place| place.as_str().unwrap().to_owned())
        .collect();
    places.sort();
    places
}

#[test]
fn one_text_in_the_service_and_in_five_copies_is_one_finding() {
    let host = Host::new();
    let pair = host.key_pair();
    let text = script(&pair);
    let copies = keep_copies(&host, HERE, &text);
    let ran = check(&host, ImdsDouble::builder().role("web").user_data(text));
    let findings = keys(&ran);
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    let finding = &findings[0];
    assert_eq!(finding["rule"], "aws.access-key-pair");
    assert_eq!(finding["location"]["source"], "user-data");
    assert_eq!(finding["location"]["path"], "user-data");
    assert_eq!(finding["location"]["line"], 2);
    assert_eq!(also_in(finding), copies);
    let fix = finding["remediation"].as_str().unwrap();
    assert!(fix.contains("launch template"), "{fix}");
    assert!(fix.contains("start-instance-refresh"), "{fix}");
    assert!(fix.contains("update-access-key"), "{fix}");
    let mut coverage = ran.of_type("coverage");
    coverage.retain(|part| part["source"] == "user-data");
    assert_eq!(coverage.len(), 1);
    assert!(coverage[0]["scanned"].as_u64() >= Some(1));
    assert_eq!((ran.status, &ran.summary()["complete"]), (1, &true.into()));
    assert!(!ran.stdout.contains(&pair.secret));
}

#[test]
fn what_another_instance_left_in_the_image_is_a_finding_of_its_own() {
    let host = Host::new();
    let (pair, old) = (host.key_pair(), host.key_pair());
    let text = script(&pair);
    keep_copies(&host, HERE, &text);
    let left = "/var/lib/cloud/instances/i-0fedcba9876543210";
    host.write(&format!("{}/user-data.txt", &left[1..]), script(&old));
    host.write(&format!("{}/scripts/part-001", &left[1..]), script(&old));
    host.write("srv/app.env", pair.env());
    let ran = check(&host, ImdsDouble::builder().user_data(text));
    let mut findings = keys(&ran);
    findings.sort_by_key(|finding| finding["location"]["path"].to_string());
    let told: Vec<_> = findings
        .iter()
        .map(|finding| {
            let place = &finding["location"];
            (place["source"].clone(), place["path"].clone())
        })
        .collect();
    let old_text = format!("{left}/user-data.txt");
    let expected = [
        ("file", "/srv/app.env"),
        ("file", &old_text),
        ("user-data", "user-data"),
    ];
    assert_eq!(
        told,
        expected.map(|(source, path)| (source.into(), path.into()))
    );
    assert_eq!(also_in(&findings[1]), [format!("{left}/scripts/part-001")]);
    assert!(
        findings[1]["remediation"]
            .to_string()
            .contains("cloud-init clean")
    );
    assert!(
        !findings[0]["remediation"]
            .to_string()
            .contains("cloud-init")
    );
}

#[test]
fn the_copies_in_an_image_are_one_finding_without_any_service() {
    let host = Host::new();
    let pair = host.key_pair();
    let mut copies = keep_copies(&host, HERE, &script(&pair));
    let imds = ImdsDouble::builder()
        .user_data(script(&host.key_pair()))
        .start();
    let ran = Rolecall::new(["scan", "--format", "json", "--root"])
        .arg(host.root())
        .arg("--imds-endpoint")
        .arg(imds.endpoint())
        .run();
    let findings = keys(&ran);
    assert_eq!(findings.len(), 1, "{}", ran.stdout);
    let path = format!("{HERE}/user-data.txt");
    assert_eq!(findings[0]["location"]["path"], path.as_str());
    copies.retain(|copy| *copy != path);
    assert_eq!(also_in(&findings[0]), copies);
    assert_eq!(imds.connections(), 0);
}

/// Each text with the name of the part in which its key is.
fn forms(pair: &KeyPair) -> Vec<(&'static str, Vec<u8>, Option<String>)> {
    let text = script(pair);
    let multipart = |encoding: &str, name: &str, end: &str| {
        let program = format!(
            "import sys, gzip, email.encoders, quopri, base64
from email.mime.multipart import MIMEMultipart
from email.mime.base import MIMEBase
text = sys.stdin.buffer.read()
outer = MIMEMultipart()
config = MIMEBase('text', 'cloud-config')
config.set_payload('#cloud-config\\npackages: [jq]\\n')
outer.attach(config)
part = MIMEBase('text', 'x-shellscript')
if '{name}':
    part.add_header('Content-Disposition', 'attachment', filename='{name}')
part.set_payload(text)
{encoding}
outer.attach(part)
whole = outer.as_bytes()
{end}
sys.stdout.buffer.write(whole)"
        );
        python(&program, &text)
    };
    let base64 = "email.encoders.encode_base64(part)";
    let seven = "part.set_payload(text.decode()); part['Content-Transfer-Encoding'] = '7bit'";
    // Lines so short that every value is cut by soft line breaks.
    let quoted = "import textwrap
lines = [b'=\\n'.join(quopri.encodestring(l[i:i+9]) for i in range(0, len(l), 9)) for l in text.splitlines()]
part.set_payload(b'\\n'.join(lines).decode()); part['Content-Transfer-Encoding'] = 'quoted-printable'";
    let gzipped = "part.set_payload(gzip.compress(text)); email.encoders.encode_base64(part)";
    let in_one_another =
        "inner = outer; outer = MIMEMultipart(); outer.attach(inner); whole = outer.as_bytes()";
    let config = |program: &str| {
        let program = format!(
            "import sys, gzip, base64
text = sys.stdin.buffer.read()
def indented(b): return ''.join('    ' + l + '\\n' for l in b.decode().splitlines())
b64 = lambda b: base64.encodebytes(b)
head = '#cloud-config\\nwrite_files:\\n- path: /etc/motd\\n  content: hello\\n'
sys.stdout.write(head + {program})"
        );
        python(&program, &text)
    };
    let env = || Some("write_files[1] /etc/app.env".to_owned());
    let archive = |name: &str, content: &str| {
        let content: String = content
            .lines()
            .map(|line| format!("    {line}\n"))
            .collect();
        format!("#cloud-config-archive\n- \"#cloud-config\"\n- {name}\n  content: |\n{content}")
    };
    let written = config("'- path: /etc/app.env\\n  content: |\\n' + indented(text)");
    let written = String::from_utf8(written).unwrap();
    vec![
        (
            "archive",
            archive("filename: run.sh", &text).into_bytes(),
            Some("run.sh".into()),
        ),
        (
            "write_files in an archive",
            archive("type: text/cloud-config", &written).into_bytes(),
            Some("part-002!write_files[1] /etc/app.env".into()),
        ),
        ("plain", text.clone().into_bytes(), None),
        (
            "gzip",
            python(
                "import sys, gzip; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))",
                &text,
            ),
            None,
        ),
        (
            "base64 part",
            multipart(base64, "run.sh", ""),
            Some("run.sh".into()),
        ),
        (
            "7bit part",
            multipart(seven, "", ""),
            Some("part-002".into()),
        ),
        (
            "quoted-printable part",
            multipart(quoted, "run.sh", ""),
            Some("run.sh".into()),
        ),
        (
            "gzip part",
            multipart(gzipped, "run.gz", ""),
            Some("run.gz".into()),
        ),
        (
            "multipart in multipart",
            multipart(base64, "run.sh", in_one_another),
            Some("part-001!run.sh".into()),
        ),
        (
            "gzip of multipart",
            multipart(quoted, "run.sh", "whole = gzip.compress(whole)"),
            Some("run.sh".into()),
        ),
        (
            "write_files",
            config("'- path: /etc/app.env\\n  content: |\\n' + indented(text)"),
            env(),
        ),
        (
            "write_files in base64",
            config(
                "'- content: |\\n' + indented(b64(text)) + '  encoding: b64\\n  path: /etc/app.env\\n'",
            ),
            env(),
        ),
        (
            "write_files in folded base64",
            config(
                "'- encoding: base64\\n  path: /etc/app.env\\n  content: >-\\n' + ''.join('    ' + base64.b64encode(text).decode()[at:at+40] + '\\n' for at in range(0, 400, 40)).rstrip() + '\\n'",
            ),
            env(),
        ),
        (
            "write_files in gzip in base64",
            config(
                "'- encoding: gz+b64\\n  path: /etc/app.env\\n  content: \"' + base64.b64encode(gzip.compress(text)).decode() + '\"\\n'",
            ),
            env(),
        ),
        (
            "write_files in binary",
            config(
                "'- {path: /etc/app.env, encoding: gzip, content: !!binary \"' + base64.b64encode(gzip.compress(text)).decode() + '\"}\\n'",
            ),
            env(),
        ),
    ]
}

#[test]
fn every_form_of_user_data_is_read_and_its_part_is_named() {
    let host = Host::new();
    let pair = host.key_pair();
    for (form, bytes, member) in forms(&pair) {
        let ran = check(&host, ImdsDouble::builder().user_data(bytes));
        let findings = keys(&ran);
        assert_eq!(findings.len(), 1, "{form}: {}", ran.stdout);
        assert!(findings[0]["also_in"].is_null(), "{form}: {}", findings[0]);
        assert_eq!(findings[0]["rule"], "aws.access-key-pair", "{form}");
        assert_eq!(findings[0]["access_key_id"], pair.id.as_str(), "{form}");
        assert_eq!(
            findings[0]["location"]["member"],
            Value::from(member),
            "{form}"
        );
        assert_eq!(ran.summary()["complete"], true, "{form}: {}", ran.stdout);
    }
}

#[test]
fn the_parts_of_a_copy_on_disk_are_read_as_well() {
    for (form, bytes, member) in forms(&Host::new().key_pair()) {
        let host = Host::new();
        host.write("var/lib/cloud/instance/user-data.txt", bytes);
        let ran = scan(&host);
        let findings = keys(&ran);
        assert_eq!(findings.len(), 1, "{form}: {}", ran.stdout);
        assert_eq!(findings[0]["rule"], "aws.access-key-pair", "{form}");
        assert_eq!(
            findings[0]["location"]["member"],
            Value::from(member),
            "{form}"
        );
        assert_eq!(ran.summary()["complete"], true, "{form}: {}", ran.stdout);
    }
}

#[test]
fn a_copy_outside_of_what_is_scanned_is_not_read() {
    let host = Host::new();
    keep_copies(&host, HERE, &script(&host.key_pair()));
    host.write("srv/empty", "");
    let ran = Rolecall::new(["scan", "--format", "json", "--root"])
        .arg(host.root())
        .arg("/srv")
        .run();
    assert_eq!((ran.status, keys(&ran).len()), (0, 0), "{}", ran.stdout);
}

#[test]
fn what_is_included_from_elsewhere_is_said_without_its_signature() {
    let host = Host::new();
    let text = "#include\nhttps://user:word@bucket.example/init.sh?X-Amz-Signature=5i9n\n";
    let ran = check(&host, ImdsDouble::builder().user_data(text));
    assert_eq!(ran.skipped("user-data", "not-fetched"), 1);
    assert!(
        ran.stdout.contains("https://bucket.example/init.sh"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("5i9n") && !ran.stdout.contains("word@"));
    assert_eq!(ran.summary()["complete"], true);
    let text = "#cloud-config-archive\n- |\n  #include\n  https://bucket.example/init.sh\n";
    let ran = check(&host, ImdsDouble::builder().user_data(text));
    assert_eq!(ran.skipped("user-data", "not-fetched"), 1, "{}", ran.stdout);
}

#[test]
fn no_user_data_is_no_gap_and_user_data_that_is_not_given_is_one() {
    let host = Host::new();
    let without = check(&host, ImdsDouble::builder().role("web"));
    assert_eq!(without.skipped("user-data", "absent"), 1);
    assert_eq!(
        (without.status, &without.summary()["complete"]),
        (0, &true.into())
    );
    for fault in [
        Fault::Status(500),
        Fault::Hang,
        Fault::CutBody,
        Fault::EndlessBody,
    ] {
        let told = format!("{fault:?}");
        let imds = ImdsDouble::builder()
            .role("web")
            .user_data("x")
            .fault(USER_DATA, fault);
        let ran = check(&host, imds);
        assert_eq!(
            ran.skipped("user-data", "io-error"),
            1,
            "{told}: {}",
            ran.stdout
        );
        assert_eq!(
            (ran.status, &ran.summary()["complete"]),
            (2, &false.into()),
            "{told}"
        );
    }
    let disabled = check(&host, ImdsDouble::builder().disabled());
    assert_eq!(
        disabled.skipped("user-data", "absent"),
        1,
        "{}",
        disabled.stdout
    );
}

#[test]
fn user_data_can_be_left_out() {
    let host = Host::new();
    let text = script(&host.key_pair());
    let copies = keep_copies(&host, HERE, &text);
    let imds = ImdsDouble::builder().user_data(text).start();
    let config = host.write("rolecall.toml", "[scan]\nuser_data = false\n");
    let ran = Rolecall::new(["check", "--format", "json", "--ship", "never", "--root"])
        .arg(host.root())
        .arg("--imds-endpoint")
        .arg(imds.endpoint())
        .arg("--config")
        .arg(config)
        .run();
    assert_eq!(imds.count("GET", USER_DATA), 0);
    assert_eq!(keys(&ran).len(), copies.len(), "{}", ran.stdout);
}

#[test]
fn hostile_user_data_ends_in_a_count_and_not_in_a_crash() {
    let host = Host::new();
    let pair = host.key_pair();
    let part = |content: &str| {
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{content}\n--b--\n")
    };
    let mut deep = script(&pair);
    for level in 0..400 {
        deep = format!(
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n{deep}\n--b{level}--\n"
        );
    }
    let bomb = python(
        "import sys, gzip; sys.stdout.buffer.write(gzip.compress(bytes(40_000_000)))",
        "",
    );
    let messages = "Content-Type: message/rfc822\n\n".repeat(2000);
    let lists = "[".repeat(60_000);
    for (name, bytes, whole) in [
        ("cut gzip", bomb[..bomb.len() / 2].to_vec(), false),
        ("bomb", bomb, true),
        ("deep multipart", deep.into_bytes(), false),
        ("messages", part(&messages).into_bytes(), true),
        (
            "no boundary",
            b"Content-Type: multipart/mixed\n\n--\n".to_vec(),
            true,
        ),
        (
            "lists",
            format!("#cloud-config\nwrite_files: {lists}").into_bytes(),
            true,
        ),
        (
            "a null",
            b"#cloud-config\0\nwrite_files:\n- \0".to_vec(),
            true,
        ),
    ] {
        let ran = check(&host, ImdsDouble::builder().user_data(bytes));
        assert_eq!(ran.summary()["complete"], whole, "{name}: {}", ran.stdout);
        let found = usize::from(name == "deep multipart");
        assert_eq!(keys(&ran).len(), found, "{name}: {}", ran.stdout);
    }
}
