//! What single settings change.

use super::*;

#[test]
fn with_nothing_set_everybody_comes_to_the_role() {
    Case::new().assert_all("role", &[]);
    Case::default().assert_all("role", &[]);
}

#[test]
fn an_id_without_a_secret_stops_botocore_alone() {
    let stops = [
        (&chain::BOTOCORE, "stopped"),
        (&chain::CLI_V1, "stopped"),
        (&chain::CLI_V2, "stopped"),
    ];
    let lone = Case::new().env("AWS_ACCESS_KEY_ID", "ID0");
    lone.assert_all("role", &stops);
    lone.env("AWS_SECRET_ACCESS_KEY", "")
        .assert_all("role", &stops);
    Case::new()
        .env("AWS_SECRET_ACCESS_KEY", "SECRET")
        .assert_all("role", &[]);
}

#[test]
fn blanks_are_a_key_that_signs_nothing_or_no_key() {
    let unset = [
        (&chain::JAVA_V1, "role"),
        (&chain::JAVA_V2, "role"),
        (&chain::RUST, "role"),
    ];
    let blank = Case::new()
        .env("AWS_ACCESS_KEY_ID", "  ")
        .env("AWS_SECRET_ACCESS_KEY", "SECRET");
    blank.assert_all("stopped", &unset);
    Case::new()
        .env("AWS_ACCESS_KEY_ID", " ID1\n")
        .env("AWS_SECRET_ACCESS_KEY", " SECRET")
        .assert_all("static 1", &[]);
}

#[test]
fn alternate_names_are_heeded_where_the_sdk_has_them() {
    let with = |id, secret| Case::new().env(id, "ID1").env(secret, "SECRET");
    with("AWS_ACCESS_KEY", "AWS_SECRET_KEY").assert_all(
        "role",
        &[
            (&chain::JAVA_V1, "static 1"),
            (&chain::GO_V1, "static 1"),
            (&chain::GO_V2, "static 1"),
            (&chain::RUBY, "static 1"),
        ],
    );
    with("AMAZON_ACCESS_KEY_ID", "AMAZON_SECRET_ACCESS_KEY").assert_all(
        "role",
        &[(&chain::JS_V2, "static 1"), (&chain::RUBY, "static 1")],
    );
    let stops = [
        (&chain::BOTOCORE, "stopped"),
        (&chain::CLI_V1, "stopped"),
        (&chain::CLI_V2, "stopped"),
    ];
    let mut but = stops.to_vec();
    but.push((&chain::RUST, "static 1"));
    with("AWS_ACCESS_KEY_ID", "SECRET_ACCESS_KEY").assert_all("role", &but);
    let mut but = stops.to_vec();
    for chain in [
        &chain::JAVA_V1,
        &chain::GO_V1,
        &chain::GO_V2,
        &chain::DOTNET_V3,
        &chain::DOTNET_V4,
        &chain::RUBY,
    ] {
        let answer = if chain.name == chain::DOTNET_V4.name {
            "role"
        } else {
            "static 1"
        };
        but.push((chain, answer));
    }
    with("AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY").assert_all("role", &but);
    // A name that is there and empty hides the others from Ruby.
    let hidden = with("AWS_ACCESS_KEY", "AWS_SECRET_KEY").env("AWS_ACCESS_KEY_ID", "");
    assert_eq!(hidden.answer(&chain::RUBY), "role");
    assert_eq!(hidden.answer(&chain::GO_V2), "static 1");
}

#[test]
fn a_profile_that_is_missing_is_an_outage_for_some_and_nothing_for_others() {
    let named = Case::new().env("AWS_PROFILE", "gone");
    let stops = [
        (&chain::BOTOCORE, "stopped"),
        (&chain::CLI_V1, "stopped"),
        (&chain::CLI_V2, "stopped"),
        (&chain::GO_V2, "stopped"),
        (&chain::DOTNET_V4, "stopped"),
    ];
    named.assert_all("role", &stops);
    // With keys in the environment: .NET 4 asks for them first, and
    // JavaScript 3 does not ask for them.
    named.clone().keys(0).assert_all(
        "static 0",
        &[
            (&chain::BOTOCORE, "stopped"),
            (&chain::CLI_V1, "stopped"),
            (&chain::CLI_V2, "stopped"),
            (&chain::GO_V2, "stopped"),
            (&chain::JS_V3, "role"),
        ],
    );
    let empty = Case::new().env("AWS_PROFILE", "");
    empty.assert_all("role", &stops[..3]);
    empty.keys(0).assert_all("static 0", &stops[..3]);
}

#[test]
fn a_named_profile_beats_the_environment_for_two() {
    let case = Case::new().keys(0).env("AWS_PROFILE", "p").file(
        CREDENTIALS,
        "[p]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n",
    );
    case.assert_all(
        "static 0",
        &[(&chain::JS_V3, "static 1"), (&chain::DOTNET_V3, "static 1")],
    );
}

#[test]
fn of_two_names_for_the_profile_the_stronger_counts() {
    let case = Case::new()
        .env("AWS_PROFILE", "one")
        .env("AWS_DEFAULT_PROFILE", "two")
        .file(
            CREDENTIALS,
            "[one]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n\
             [two]\naws_access_key_id=ID2\naws_secret_access_key=SECRET\n",
        );
    case.assert_all(
        "static 1",
        &[
            (&chain::BOTOCORE, "static 2"),
            (&chain::CLI_V1, "static 2"),
            (&chain::CPP, "static 2"),
        ],
    );
    let default_only = case.unset("AWS_PROFILE");
    default_only.assert_all(
        "role",
        &[
            (&chain::BOTOCORE, "static 2"),
            (&chain::CLI_V1, "static 2"),
            (&chain::CLI_V2, "static 2"),
            (&chain::GO_V2, "static 2"),
            (&chain::CPP, "static 2"),
        ],
    );
    let property = default_only.property("aws.profile", "one");
    for chain in [&chain::JAVA_V1, &chain::JAVA_V2, &chain::KOTLIN] {
        assert_eq!(property.answer(chain), "static 1");
    }
}

#[test]
fn a_container_takes_the_place_of_the_role() {
    for name in [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ] {
        Case::new().env(name, "/x").assert_all("temporary", &[]);
    }
}

#[test]
fn each_sdk_has_its_own_way_to_switch_imds_off() {
    let off = |value| Case::new().env("AWS_EC2_METADATA_DISABLED", value);
    for value in ["true", "TRUE"] {
        off(value).assert_all("stopped", &[]);
    }
    off("false").assert_all("role", &[(&chain::JS_V2, "stopped")]);
    off("1").assert_all(
        "role",
        &[(&chain::JS_V2, "stopped"), (&chain::JS_V3, "stopped")],
    );
    off("").assert_all("role", &[]);
    Case::new()
        .property("aws.disableEc2Metadata", "true")
        .assert_all(
            "role",
            &[(&chain::JAVA_V2, "stopped"), (&chain::KOTLIN, "stopped")],
        );
    Case::new()
        .property("com.amazonaws.sdk.disableEc2Metadata", "true")
        .assert_all("role", &[(&chain::JAVA_V1, "stopped")]);
    off("true").keys(0).assert_all("static 0", &[]);
}

#[test]
fn without_home_the_account_is_asked_by_some() {
    let keys = "[default]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n";
    let case = Case::default().file(CREDENTIALS, keys);
    case.assert_all(
        "static 1",
        &[
            (&chain::RUST, "role"),
            (&chain::PHP, "role"),
            (&chain::DOTNET_V3, "role"),
            (&chain::DOTNET_V4, "role"),
        ],
    );
    let in_directory = Case::default().file("/srv/.aws/credentials", keys);
    in_directory.assert_all(
        "role",
        &[
            (&chain::DOTNET_V3, "static 1"),
            (&chain::DOTNET_V4, "static 1"),
        ],
    );
    // Java 1 asks the virtual machine, which asks passwd(5).
    let elsewhere = Case::default()
        .env("HOME", "/elsewhere")
        .file(CREDENTIALS, keys);
    elsewhere.assert_all("role", &[(&chain::JAVA_V1, "static 1")]);
    let property = elsewhere.property("user.home", "/x");
    property.assert_all("role", &[]);
    let nobody = Case {
        no_account: true,
        ..Case::default()
    };
    nobody.assert_all("role", &[]);
}

#[test]
fn the_shared_files_may_be_elsewhere() {
    let keys = "[default]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n";
    let credentials = |path| {
        Case::new()
            .env("AWS_SHARED_CREDENTIALS_FILE", path)
            .file("/srv/keys", keys)
            .file("/home/a/keys", keys)
    };
    for path in ["/srv/keys", "keys", "~/keys"] {
        credentials(path).assert_all("static 1", &[(&chain::JS_V2, "role")]);
    }
    credentials("/srv/keys")
        .env("AWS_SDK_LOAD_CONFIG", "1")
        .assert_all("static 1", &[]);
    let config = Case::new()
        .env("AWS_CONFIG_FILE", "/srv/config")
        .file("/srv/config", keys);
    let but = [
        (&chain::GO_V1, "role"),
        (&chain::JS_V2, "role"),
        (&chain::PHP, "role"),
        (&chain::CPP, "role"),
    ];
    config.assert_all("static 1", &but);
    config
        .env("AWS_SDK_LOAD_CONFIG", "true")
        .assert_all("static 1", &but[2..]);
    Case::new()
        .env("AWS_CREDENTIAL_PROFILES_FILE", "/srv/keys")
        .file("/srv/keys", keys)
        .assert_all("role", &[(&chain::JAVA_V1, "static 1")]);
}

#[test]
fn a_role_is_what_it_is_assumed_with() {
    let with = |profile: &str, rest: &str| {
        Case::new()
            .env("AWS_PROFILE", "p")
            .env("AWS_SDK_LOAD_CONFIG", "1")
            .file(
                CREDENTIALS,
                &format!("[p]\nrole_arn = arn\n{profile}\n{rest}"),
            )
    };
    let base = "aws_access_key_id=ID1\naws_secret_access_key=SECRET\n";
    let cpp = (&chain::CPP, "role");
    with("source_profile=b", &format!("[b]\n{base}")).assert_all("static 1", &[cpp]);
    with(
        "source_profile=b",
        &format!("[b]\nrole_arn=x\nsource_profile=c\n[c]\n{base}"),
    )
    .assert_all("static 1", &[cpp]);
    // JavaScript 2 knows no credential_source.
    with("credential_source = Ec2InstanceMetadata", "").assert_all("role", &[]);
    let of_environment = with("credential_source = Environment", "").keys(2);
    let answer = of_environment.answer(&chain::DOTNET_V3);
    assert_eq!(answer, "static 2");
    with("source_profile=b", "[b]\nsso_session=x\n").assert_all("temporary", &[cpp]);
    with("source_profile=b", "[b]\ncredential_process=x\n").assert_all("unknown", &[cpp]);
    // A profile that names itself takes its own keys.
    with(&format!("source_profile=p\n{base}"), "").assert_all("static 1", &[]);
}

#[test]
fn a_source_with_both_keys_and_a_role_is_read_in_two_ways() {
    let case = Case::new()
        .env("AWS_PROFILE", "p")
        .env("AWS_SDK_LOAD_CONFIG", "1")
        .file(
            CREDENTIALS,
            "[p]\nrole_arn=a\nsource_profile=b\n\
             [b]\nrole_arn=b\nsource_profile=c\naws_access_key_id=ID1\n\
             aws_secret_access_key=SECRET\n\
             [c]\naws_access_key_id=ID2\naws_secret_access_key=SECRET\n",
        );
    case.assert_all(
        "static 1",
        &[
            (&chain::JAVA_V1, "static 2"),
            (&chain::JAVA_V2, "static 2"),
            (&chain::GO_V1, "static 2"),
            (&chain::GO_V2, "static 2"),
            (&chain::CPP, "role"),
        ],
    );
}

#[test]
fn a_broken_profile_stops_the_strict_and_never_loops() {
    let stops = [
        (&chain::BOTOCORE, "stopped"),
        (&chain::CLI_V1, "stopped"),
        (&chain::CLI_V2, "stopped"),
        (&chain::RUST, "stopped"),
    ];
    for text in [
        "role_arn=a\nsource_profile=q\n[q]\nrole_arn=b\nsource_profile=default\n",
        "role_arn=a\nsource_profile=gone\n",
        "role_arn=a\n",
        "aws_access_key_id=ID1\n",
    ] {
        Case::new()
            .file(CREDENTIALS, &format!("[default]\n{text}"))
            .assert_all("role", &stops);
    }
    let deep: String = (0..100)
        .map(|n| format!("[p{n}]\nrole_arn=a\nsource_profile=p{}\n", n + 1))
        .collect();
    Case::new()
        .env("AWS_PROFILE", "p0")
        .file(CREDENTIALS, &deep)
        .assert_all("role", &stops);
}

#[test]
fn what_expires_and_what_was_never_a_key_is_no_static_key() {
    let temporary = id(1).replacen("AKIA", "ASIA", 1);
    let with = |id: &str| {
        Case::new()
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", "SECRET")
    };
    with(&temporary).assert_all("temporary", &[]);
    with("minio")
        .env("AWS_SESSION_TOKEN", "t")
        .assert_all("temporary", &[]);
    with("minio").assert_all("static ?", &[]);
    let documented = ["AKIAIOSFODNN7", "EXAMPLE"].concat();
    with(&documented).assert_all("stopped", &[]);
    // A token does not make a long-term key expire.
    with("ID1")
        .env("AWS_SESSION_TOKEN", "t")
        .assert_all("static 1", &[]);
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_answer_open() {
    let case = Case::new().file(CREDENTIALS, "unreadable");
    case.assert_all("unknown", &[]);
}

#[test]
fn the_command_line_of_the_cli_beats_the_environment() {
    let case = Case {
        profile: Some("p"),
        ..Case::new().keys(0).file(
            CREDENTIALS,
            "[p]\naws_access_key_id=ID1\naws_secret_access_key=SECRET\n",
        )
    };
    assert_eq!(case.answer(&chain::CLI_V2), "static 1");
    let missing = Case {
        profile: Some("q"),
        ..case
    };
    assert_eq!(missing.answer(&chain::CLI_V2), "stopped");
}

#[test]
fn a_key_is_told_with_its_place_and_its_fingerprint_and_not_with_its_secret() {
    let case = Case::new().file(
        CREDENTIALS,
        "\n[default]\naws_secret_access_key = \"SECRET\"\naws_access_key_id = 'ID1'\n",
    );
    let environment: Variables = [("HOME".to_owned(), Secret::new("/home/a"))]
        .into_iter()
        .collect();
    let answer = resolve(
        &chain::BOTOCORE,
        &Inputs {
            environment: &environment,
            properties: &Variables::default(),
            profile: None,
            home: None,
            directory: None,
            files: &case,
        },
    );
    let Answer::Static(key) = &answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        key.setting,
        Setting::File {
            place: Place {
                path: CREDENTIALS.into(),
                line: 4
            },
            profile: "default".into()
        }
    );
    assert_eq!(
        key.secret_fingerprint,
        Some(secret_fingerprint(&Secret::new("s".repeat(40))))
    );
    assert!(!format!("{answer:?}").contains("ssss"));
}
