//! What a run says, to people and to programs.

use crate::support::host::Host;
use crate::support::rolecall::Rolecall;

/// Characters that the SSM console shows, less a margin.
const CONSOLE: usize = 2_000;

#[test]
fn the_report_of_a_bad_host_says_what_matters_before_a_console_cuts_it() {
    let host = Host::new();
    let worst = host.key_pair();
    for number in 0..400 {
        let deep = format!(
            "srv/{}/{number}.env",
            "a-rather-long-directory-name/".repeat(5)
        );
        host.write(&deep, host.key_pair().env());
    }
    for place in 0..30 {
        host.write(&format!("opt/{place}/app.properties"), worst.env());
    }
    let ran = Rolecall::new(["scan"]).arg(host.root()).run();
    assert_eq!(ran.status, 1);
    let head: String = ran.stdout.chars().take(CONSOLE).collect();
    assert!(
        head.contains("430 critical (401 credentials in 430 places)"),
        "{head}"
    );
    assert!(
        head.contains(&format!("{} in 30 places", worst.id)),
        "{head}"
    );
    assert!(head.contains("more\n"), "{head}");
    // The list ends before the cut: nothing of it is half a line.
    assert!(head.contains("\n\nCRITICAL"), "{head}");
}

#[test]
fn findings_are_grouped_by_credential() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("a.env", pair.env());
    host.write("b.env", pair.env());
    // The ID alone, and the secret alone, are the same credential.
    host.write("c.txt", format!("key {}\n", pair.id));
    host.write("d.env", format!("AWS_SECRET_ACCESS_KEY={}\n", pair.secret));
    let ran = Rolecall::new(["scan", "--format", "json"])
        .arg(host.root())
        .run();
    let summary = ran.summary();
    assert_eq!(
        (&summary["credentials"], &summary["findings"]),
        (&1.into(), &4.into())
    );
    let ran = Rolecall::new(["scan"]).arg(host.root()).run();
    assert!(
        ran.stdout.contains("1 credential in 4 places"),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_id_of_a_finding_survives_an_edit_above_it() {
    let host = Host::new();
    let pair = host.key_pair();
    let id = |content: String| {
        host.write("a.env", content);
        let ran = Rolecall::new(["scan", "--format", "json"])
            .arg(host.root())
            .run();
        let finding = ran.of_type("finding").remove(0);
        (finding["id"].clone(), finding["location"]["line"].clone())
    };
    let (first, line_1) = id(pair.env());
    let (second, line_3) = id(format!("# a\n# b\n{}", pair.env()));
    assert_eq!(first, second);
    assert_eq!((line_1, line_3), (1.into(), 3.into()));
}

#[test]
fn the_summary_is_last_and_counts_what_was_told() {
    let host = Host::new();
    host.write("a.env", host.key_pair().env());
    let ran = Rolecall::new(["scan", "--format", "json"])
        .arg(host.root())
        .run();
    let records = ran.records();
    assert!(records.iter().all(|record| record["schema"] == 1));
    assert_eq!(records.last().unwrap()["type"], "summary");
    let summary = ran.summary();
    assert_eq!(summary["critical"], 1);
    assert_eq!(summary["complete"], true);
    let finding = &ran.of_type("finding")[0];
    assert_eq!(finding["file"]["mode"], "0644");
    assert_eq!(finding["location"]["commit"], serde_json::Value::Null);
}

#[test]
fn the_severity_that_fails_a_run_is_the_operators_choice() {
    let host = Host::new();
    host.write("id.txt", format!("key {}\n", host.key_pair().id));
    for (fail_on, status) in [
        ("critical", 0),
        ("high", 0),
        ("medium", 1),
        ("low", 1),
        ("never", 0),
    ] {
        let ran = Rolecall::new(["scan", "--fail-on", fail_on])
            .arg(host.root())
            .run();
        assert_eq!(ran.status, status, "{fail_on}");
    }
}

#[test]
fn the_report_can_go_to_a_file() {
    let host = Host::new();
    let out = Host::new();
    let file = out.path("report.json");
    let ran = Rolecall::new(["scan", "--format", "json", "--output"])
        .arg(&file)
        .arg(host.root())
        .run();
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    assert!(
        std::fs::read_to_string(file)
            .unwrap()
            .contains("\"summary\"")
    );
    let ran = Rolecall::new(["scan", "--output", "/nonexistent/x", "/nonexistent/y"]).run();
    assert_eq!(ran.status, 64);
}

#[test]
fn a_report_that_cannot_be_written_hides_no_finding_and_is_no_clean_run() {
    let host = Host::new();
    let to_full = || {
        let run = Rolecall::new(["scan", "--quiet", "--output", "/dev/full"]);
        run.arg(host.root()).run()
    };
    let ran = to_full();
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("writing the report"), "{}", ran.stderr);
    host.write("app.env", host.key_pair().env());
    assert_eq!(to_full().status, 1);
}

#[test]
fn what_a_file_is_named_for_is_told_without_its_secret() {
    let host = Host::new();
    let (named, pair) = (host.key_pair(), host.key_pair());
    let token = format!("IQoJb3JpZ2luX2Vj{}", pair.secret.repeat(4)).replace('/', "x");
    let secret = named.secret.replace('/', "x");
    let setting = format!("AWS_SECRET_ACCESS_KEY={secret}");
    host.write(&format!("{setting}/app.env"), pair.env());
    host.write(&format!("o?X-Amz-Security-Token={token}"), pair.env());
    // Skipped, and so an example.
    std::os::unix::net::UnixListener::bind(host.path(&setting).join("s")).unwrap();
    for format in ["text", "json", "sarif", "ocsf"] {
        let run = Rolecall::new(["scan", "--format", format]);
        let ran = run.arg(host.root()).run();
        assert_eq!(ran.status, 1);
        for secret in [&secret, &token[20..60]] {
            assert!(!ran.stdout.contains(secret), "{format}: {}", ran.stdout);
        }
        assert!(ran.stdout.contains("<secret>"), "{format}");
    }
}

#[test]
fn what_was_allowed_is_counted_and_what_allows_nothing_is_told() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("a.env", pair.env());
    let config = Host::new();
    let file = config.write(
        "c.toml",
        format!(
            "[[allow]]\naccess_key_id = \"{}\"\nreason = \"known\"\n\
             [[allow]]\nrule = \"aws.bedrock-api-key\"\nreason = \"stale\"\n",
            pair.id
        ),
    );
    let ran = Rolecall::new(["scan", "--format", "json", "--config"])
        .arg(&file)
        .arg(host.root())
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.summary()["allowed"], 1);
    assert!(
        ran.stderr.contains("matches nothing") && ran.stderr.contains("stale"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("known"), "{}", ran.stderr);
}

#[test]
fn a_file_cannot_silence_its_own_finding() {
    let host = Host::new();
    let pair = host.key_pair();
    for mark in [
        "# gitleaks:allow",
        "// pragma: allowlist secret",
        "# nosec",
        "# rolecall:ignore",
    ] {
        host.write(
            &format!("{}.env", mark.len()),
            format!("{mark}\n{} {mark}", pair.env()),
        );
    }
    host.write(".gitleaks.toml", "[allowlist]\npaths = ['.*']\n");
    host.write(".gitignore", "*\n");
    let ran = Rolecall::new(["scan", "--format", "json"])
        .arg(host.root())
        .run();
    assert_eq!(ran.of_type("finding").len(), 4);
}

#[test]
fn bad_configuration_is_refused_before_anything_is_done() {
    let host = Host::new();
    let file = host.write("c.toml", "[scan]\nthraeds = 2\n");
    for command in ["check", "scan", "posture", "config"] {
        let ran = Rolecall::new([command, "--config"]).arg(&file).run();
        assert_eq!(ran.status, 64, "{command}");
        assert!(
            ran.stderr.contains("c.toml:2") && ran.stderr.contains("threads"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn the_configuration_that_is_printed_is_one_that_is_read() {
    let host = Host::new();
    let printed = Rolecall::new(["config", "--threads", "3"]).run();
    assert_eq!(printed.status, 0);
    assert!(printed.stdout.contains("# --threads"), "{}", printed.stdout);
    let file = host.write("c.toml", &printed.stdout);
    let ran = Rolecall::new(["config", "--check", "--config"])
        .arg(&file)
        .run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn one_set_of_flags_serves_every_command() {
    let common = [
        "--format",
        "json",
        "--fail-on",
        "never",
        "--timeout",
        "30s",
        "--ship",
        "auto",
        "--imds-endpoint",
        "http://127.0.0.1:1",
        "--logs-endpoint",
        "http://127.0.0.1:1",
        "--quiet",
        "--root",
    ];
    let host = Host::new();
    for command in ["check", "scan", "posture"] {
        let mut run = Rolecall::new([command]);
        for flag in common {
            run = run.arg(flag);
        }
        let ran = run.arg(host.root()).run();
        assert!([0, 2].contains(&ran.status), "{command}: {}", ran.stderr);
    }
    assert_eq!(Rolecall::new(["scan", "--ship", "always"]).run().status, 64);
}

#[test]
fn what_a_kept_report_tells_is_not_found_again_as_a_key_that_is_kept() {
    let host = Host::new();
    let pair = host.key_pair();
    host.write("srv/shop/.env", pair.env());
    host.write("srv/shop/notes", format!("key {}\n", host.key_pair().id));
    let kept = Host::new();
    for format in ["text", "json", "sarif", "ocsf"] {
        let ran = Rolecall::new(["scan", "--format", format])
            .arg(host.root())
            .run();
        kept.write(&format!("var/log/{format}"), ran.stdout);
    }
    let field = format!("ROLECALL_ACCESS_KEY_ID={}\n", pair.id);
    kept.write("var/log/journal", field);
    let summary = |host: &Host| {
        let rescan = Rolecall::new(["scan", "--format", "json"]).arg(host.root());
        rescan.run().summary()
    };
    let seen = summary(&kept);
    assert_eq!(seen["findings"], 9, "{seen}");
    assert_eq!(seen["info"], 9, "{seen}");
    // It excuses no ID that is kept in the same file, wherever that stands.
    let ran = Rolecall::new(["scan"]).arg(host.root()).run();
    kept.write("var/log/text", format!("{}\nkey {}\n", ran.stdout, pair.id));
    assert_eq!(summary(&kept)["medium"], 1);
}
