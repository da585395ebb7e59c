//! Settings of several keys in any order: their names tell which ID and which
//! secret are one key.

use std::fmt::Write as _;

use base64::prelude::*;
use rolecall::detect::{Detection, Detector, Scanner};
use rolecall::finding::{AccessKeyId, Confidence, Rule};
use rolecall::secret::Secret;

use crate::support::host::{Host, KeyPair};

/// How an ID and a secret are named, and three keys; the first one may have the
/// names that the SDKs know.
type Style = ([&'static str; 2], [&'static str; 3]);

const STYLES: [Style; 14] = [
    (
        ["@AWS_ACCESS_KEY_ID", "@AWS_SECRET_ACCESS_KEY"],
        ["PROD_", "BACKUP_", "CI_"],
    ),
    (
        ["@AWS_ACCESS_KEY_ID", "@AWS_SECRET_ACCESS_KEY"],
        ["", "BACKUP_", "CI_"],
    ),
    (
        ["AWS_ACCESS_KEY_ID@", "AWS_SECRET_ACCESS_KEY@"],
        ["", "_PROD", "_OLD"],
    ),
    (
        ["AWS_@ACCESS_KEY_ID", "AWS_@SECRET_ACCESS_KEY"],
        ["", "PROD_", "STAGE_"],
    ),
    (
        ["@.aws.access-key", "@.aws.secret-key"],
        ["prod", "backup", "ci"],
    ),
    (
        ["aws.@.accessKeyId", "aws.@.secretAccessKey"],
        ["prod", "backup", "ci"],
    ),
    (
        ["aws-access-key-@", "aws-secret-key-@"],
        ["prod", "backup", "ci"],
    ),
    (
        ["@AccessKeyId", "@SecretAccessKey"],
        ["prod", "backup", "ci"],
    ),
    (["accessKey@", "secretKey@"], ["", "Prod", "Backup"]),
    (["@_access_key", "@_secret_key"], ["prod", "backup", "ci"]),
    (["@_key_id", "@_secret"], ["prod", "backup", "ci"]),
    (["@accesskeyid", "@secretkey"], ["prod", "backup", "ci"]),
    (["AWS_KEY@", "AWS_SECRET@"], ["1", "2", "_3"]),
    (["AK_@", "SK_@"], ["PROD", "BACKUP", "CI"]),
];

/// Names with their values, in their order.
type Settings = Vec<(String, String)>;

type Form = (&'static str, fn(&Settings) -> Vec<u8>);

const FORMS: [Form; 18] = [
    ("environment file", |settings| {
        each(settings, |name, value| format!("{name}={value}\n"))
    }),
    ("environment of a process", |settings| {
        each(settings, |name, value| format!("{name}={value}\0"))
    }),
    ("object", |settings| {
        let fields = each(settings, |name, value| format!(",\"{name}\": \"{value}\""));
        [b"{\"port\": 80", &fields[..], b"}\n"].concat()
    }),
    ("unit", |settings| {
        let lines = each(settings, |name, value| {
            format!("Environment=\"{name}={value}\"\n")
        });
        [b"[Service]\n", &lines[..]].concat()
    }),
    ("environment of a container", |settings| {
        let list = each(settings, |name, value| format!("\"{name}={value}\","));
        [b"{\"Config\":{\"Env\":[", &list[..], b"\"A=b\"]}}"].concat()
    }),
    ("environment of a task", |settings| {
        let list = each(settings, |name, value| {
            format!("{{\"name\": \"{name}\", \"value\": \"{value}\"}},\n")
        });
        [b"{\"environment\": [\n", &list[..], b"{}]}"].concat()
    }),
    ("environment of a pod", |settings| {
        each(settings, |name, value| {
            format!("    - name: {name}\n      value: {value}\n")
        })
    }),
    ("secret of a cluster", |settings| {
        each(settings, |name, value| {
            format!("  {name}: {}\n", BASE64_STANDARD.encode(value))
        })
    }),
    ("table", |settings| {
        each(settings, |name, value| format!("{name} = '{value}'\n"))
    }),
    ("encoded file", |settings| {
        let file = each(settings, |name, value| format!("{name}={value}\n"));
        BASE64_STANDARD.encode(file).into_bytes()
    }),
    ("parameters of a template", |settings| {
        each(settings, |name, value| {
            format!("  {name}:\n    Type: String\n    NoEcho: true\n    Default: {value}\n")
        })
    }),
    ("variables of a module", |settings| {
        each(settings, |name, value| {
            let told = "type = string\n  description = \"one of ours\"\n  sensitive = true";
            format!("variable \"{name}\" {{\n  {told}\n  default = \"{value}\"\n}}\n")
        })
    }),
    ("parameters of a store", |settings| {
        each(settings, |name, value| {
            format!("{{\"Name\":\"{name}\",\"Type\":\"SecureString\",\"Value\":\"{value}\"}},")
        })
    }),
    ("values before their names", |settings| {
        each(settings, |name, value| {
            format!("  {{\n    \"value\": \"{value}\",\n    \"name\": \"{name}\"\n  }},\n")
        })
    }),
    ("parameters of a job", |settings| {
        each(settings, |name, value| {
            let told = "<description>one of ours</description>";
            format!("<p><name>{name}</name>{told}<defaultValue>{value}</defaultValue></p>\n")
        })
    }),
    ("constants of a type", |settings| {
        each(settings, |name, value| {
            format!("pub const {name}: &str = \"{value}\";\n")
        })
    }),
    ("defaults behind a word", |settings| {
        each(settings, |name, value| {
            format!("key = os.environ.get(\"{name}\") or \"{value}\"\n")
        })
    }),
    ("defaults behind signs", |settings| {
        each(settings, |name, value| {
            format!("ENV['{name}'] ||= '{value}'\n")
        })
    }),
];

fn each(settings: &Settings, line: impl Fn(&str, &str) -> String) -> Vec<u8> {
    let lines = settings.iter().map(|(name, value)| line(name, value));
    lines.collect::<String>().into_bytes()
}

/// The settings of the keys: an ID, its secret, the next ID.
fn settings((names, keys): &Style, pairs: &[KeyPair]) -> Settings {
    let of = |(key, pair): (&&str, &KeyPair)| {
        let [id, secret] = names.map(|name| name.replace('@', key));
        [(id, pair.id.clone()), (secret, pair.secret.clone())]
    };
    keys.iter().zip(pairs).flat_map(of).collect()
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let grown = |order: Vec<usize>| {
        (0..count).map(move |at| {
            let mut order = order.clone();
            order.insert(at, count - 1);
            order
        })
    };
    orders(count - 1).into_iter().flat_map(grown).collect()
}

fn in_order(settings: &Settings, order: &[usize]) -> Settings {
    order.iter().map(|at| settings[*at].clone()).collect()
}

/// What is told, in the order of the IDs.
fn told(detection: &Detection) -> Vec<[String; 2]> {
    let text = |found: &rolecall::detect::Match| {
        let id = found.access_key_id.as_ref().map(AccessKeyId::as_str);
        let secret = found.secret.as_ref().and_then(Secret::expose_str);
        [id, secret].map(|text| text.unwrap_or_default().to_owned())
    };
    let mut told: Vec<_> = detection.matches.iter().map(text).collect();
    told.sort();
    told
}

fn expected(pairs: &[KeyPair]) -> Vec<[String; 2]> {
    let pair = |pair: &KeyPair| [pair.id.clone(), pair.secret.clone()];
    let mut expected: Vec<_> = pairs.iter().map(pair).collect();
    expected.sort();
    expected
}

fn keys(count: usize) -> Vec<KeyPair> {
    let host = Host::new();
    (0..count).map(|_| host.key_pair()).collect()
}

#[test]
fn each_id_has_the_secret_of_its_name_in_whatever_order_they_are_set() {
    let detector = Detector::new(4);
    let mut scanner = Scanner::new(&detector);
    let keys = keys(3);
    let mut wrong = String::new();
    for (count, step) in [(2, 1), (3, 37)] {
        let expected = expected(&keys[..count]);
        for style in &STYLES {
            let settings = settings(style, &keys[..count]);
            for (name, form) in FORMS {
                let mut misses = 0;
                for order in orders(2 * count).iter().step_by(step) {
                    scanner.feed(&form(&in_order(&settings, order)));
                    let found = scanner.finish();
                    let is_sure = found.matches.iter().all(|found| {
                        found.rule == Rule::AccessKeyPair && found.confidence == Confidence::High
                    });
                    misses += usize::from(told(&found) != expected || !is_sure);
                }
                if misses > 0 {
                    writeln!(wrong, "{count} as {style:?} in {name}: {misses}").unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn names_tell_what_belongs_together_far_apart_in_a_large_file() {
    let detector = Detector::new(4);
    let keys = keys(3);
    let between = "a line of a long file: nothing\n".repeat(12_000);
    for style in &STYLES[1..3] {
        let settings = settings(style, &keys);
        for order in orders(6).iter().step_by(241) {
            let file = each(&in_order(&settings, order), |name, value| {
                format!("{name}={value}\n{between}")
            });
            let found = told(&detector.scan(&file));
            assert_eq!(found, expected(&keys), "{style:?} {order:?}");
        }
    }
}

/// What is told of a text in which `a`, `b` and `c` stand for IDs, and `A` and so
/// on for their secrets: pairs, and secrets alone.
fn letters(text: &str) -> Vec<String> {
    let keys = keys(3);
    let mut filled = String::new();
    for part in text.split_inclusive(['<', '>']) {
        match (part.strip_suffix('>'), part.as_bytes()[0]) {
            (Some(_), letter @ b'a'..=b'c') => filled += &keys[usize::from(letter - b'a')].id,
            (Some(_), letter) => filled += &keys[usize::from(letter - b'A')].secret,
            _ => filled += part.trim_end_matches('<'),
        }
    }
    let letter = |text: &String, of: fn(&KeyPair) -> &String, first: u8| {
        let at = keys.iter().position(|key| of(key) == text);
        at.map(|at| char::from(first + u8::try_from(at).unwrap()))
    };
    let found = Detector::new(4).scan(filled.as_bytes());
    let shown = told(&found).into_iter().map(|[id, secret]| {
        let id = letter(&id, |key| &key.id, b'a');
        let secret = letter(&secret, |key| &key.secret, b'A');
        id.into_iter().chain(secret).collect()
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    shown
}

#[test]
fn a_secret_of_another_name_is_no_second_one_of_an_id_that_has_its_own() {
    for text in [
        "ID_PROD=<a>\nSECRET_OLD=<B>\nSECRET_PROD=<A>\n",
        "AWS_ACCESS_KEY_ID_PROD=<a>\nAWS_SECRET_ACCESS_KEY_OLD=<B>\nAWS_SECRET_ACCESS_KEY_PROD=<A>\n",
        "AWS_SECRET_ACCESS_KEY_OLD=<B>\nAWS_ACCESS_KEY_ID_PROD=<a>\nAWS_SECRET_ACCESS_KEY_PROD=<A>\n",
        "prod_key_id=<a>\nold_secret=<B>\nprod_secret=<A>\n",
    ] {
        assert_eq!(letters(text), ["B", "aA"], "{text}");
    }
    // Another one of the same name is.
    let text = "ID_CI=<b>\n#SECRET_PROD=<C>\nSECRET_PROD=<A>\nID_PROD=<a>\nSECRET_CI=<B>\n";
    assert_eq!(letters(text), ["aA", "aC", "bB"]);
    let text = "P_KEY_ID=<a>\nP_SECRET_KEY=<A>\nQ_KEY_ID=<b>\nP_SECRET_KEY=<C>\nQ_SECRET_KEY=<B>\n";
    assert_eq!(letters(text), ["aA", "aC", "bB"]);
}

#[test]
fn where_no_other_name_competes_position_tells() {
    for (text, expected) in [
        // Rotations.
        (
            "AWS_ACCESS_KEY_ID=<a>\nAWS_SECRET_ACCESS_KEY_OLD=<B>\nAWS_SECRET_ACCESS_KEY=<A>\n",
            &["aA", "aB"][..],
        ),
        (
            "AWS_ACCESS_KEY_ID=<a>\n#AWS_SECRET_ACCESS_KEY=<B>\nAWS_SECRET_ACCESS_KEY=<A>\n",
            &["aA", "aB"],
        ),
        (
            "PROD_ACCESS_KEY_ID=<a>\nSECRET_NEW=<A>\nSECRET_OLD=<B>\n",
            &["aA", "aB"],
        ),
        // One name for all, or none that fits.
        ("ID_PROD=<a>\nSECRET_OLD=<A>\n", &["aA"]),
        (
            "IAM_KEY_1=<a>\nUSER_SECRET_1=<A>\nIAM_KEY_2=<b>\nUSER_SECRET_2=<B>\n",
            &["aA", "bB"],
        ),
        (
            "AWS_ACCESS_KEY_ID=<a>\nPROD_SECRET_KEY=<A>\n\nPROD_ACCESS_KEY=<b>\nPROD_SECRET_KEY=<B>\n",
            &["aA", "bB"],
        ),
        (
            "[x]\naws_access_key_id=<a>\n# Alice's\naws_secret_access_key=<A>\n[y]\n\
             aws_secret_access_key=<B>\naws_access_key_id=<b>\n",
            &["aA", "bB"],
        ),
        (
            "[{\"secretKey\":\"<A>\",\"accessKey\":\"<a>\"},{\"accessKey\":\"<b>\",\"secretKey\":\"<B>\"}]",
            &["aA", "bB"],
        ),
        (
            "access key,secret key\nAlice,<a>,<A>\nsecret,<b>,<B>\nkey,<c>,<C>\n",
            &["aA", "bB", "cC"],
        ),
        ("<a>\n<b>\n<c>\n\n<A>\n<B>\n<C>\n", &["aA", "bB", "cC"]),
    ] {
        assert_eq!(letters(text), expected, "{text}");
    }
    // Blocks of the same two names, each in an order of its own.
    let block = |[id, old]: [&str; 2], [secret, older]: [&str; 2]| {
        format!(
            "AWS_ACCESS_KEY_ID=<{id}>\nOLD_AWS_SECRET_ACCESS_KEY=<{older}>\n\
             OLD_AWS_ACCESS_KEY_ID=<{old}>\nAWS_SECRET_ACCESS_KEY=<{secret}>\n\n"
        )
    };
    let blocks = block(["a", "b"], ["A", "B"]) + &"\n".repeat(500) + &block(["c", "b"], ["C", "B"]);
    assert_eq!(letters(&blocks), ["aA", "bB", "cC"]);
}

#[test]
fn names_do_not_part_what_stands_together_and_is_set_off() {
    for text in [
        // A section, an object or a paragraph each.
        "[default]\ns3_access_key = <a>\nsecret_key = <A>\n[s3]\naccess_key = <b>\n\
         s3_secret_key = <B>\n",
        "source:\n  source_access_key_id: <a>\n  secret_access_key: <A>\ndestination:\n  \
         access_key_id: <b>\n  source_secret_access_key: <B>\n",
        "s3_access_key=<a>\nsecret_key=<A>\n\naccess_key=<b>\ns3_secret_key=<B>\n",
        // An ID of a name that no secret has, beside a key with its own.
        "LOGS_PUBLIC_KEY=<a>\nLOGS_SECRET_ACCESS_KEY=<A>\nLOGS_ACCESS_KEY_ID=<b>\n\
         LOGS_SECRET_ACCESS_KEY=<B>\n",
        // Items with their name below the value.
        "env:\n- value: <a>\n  name: BACKUP_AWS_ACCESS_KEY_ID\n- value: <A>\n  name: \
         BACKUP_AWS_SECRET_ACCESS_KEY\n- value: <b>\n  name: AWS_ACCESS_KEY_ID\n- value: \
         <B>\n  name: AWS_SECRET_ACCESS_KEY\n",
    ] {
        assert_eq!(letters(text), ["aA", "bB"], "{text}");
    }
}
