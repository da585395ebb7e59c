//! Keys among the marks of formats in which programs keep what they have in
//! memory: some of them are letters of the alphabet of keys.

use rolecall::finding::secret_fingerprint;
use rolecall::secret::Secret;

use crate::support::host::Host;
use crate::support::rolecall::Rolecall;

/// With the place of an ID and of a secret.
const FORMS: [(&str, &[u8]); 8] = [
    // Two strings of Avro, whose lengths are written twofold.
    (
        "avro",
        b"Obj\x01\x04\x14avro.codec\x08null\0\x02\x80\x01(ID_PSECRET_\0\0\0\0",
    ),
    (
        "avro-next",
        b"Obj\x01\x04\x14avro.codec\x08null\0\x02\x80\x01(ID_PSECRET_\x06abc\0\0",
    ),
    (
        "marshal",
        b"\x04\x08{\x07:\x07idI\"\x19ID_\x06:\x06ET:\x0bsecretI\"-SECRET_\x06;\x06T",
    ),
    (
        "pickle",
        b"(dp0\nVa\np1\nVID_\np2\nsVb\np3\nVSECRET_\np4\ns.",
    ),
    (
        "avro-secret-first",
        b"Obj\x01\x04\x14avro.codec\x08null\0\x02\x80\x01PSECRET_(ID_\0\0\0\0",
    ),
    ("marshal-bare", b"\x04\x08[\x07\"\x19ID_\"-SECRET_\0"),
    ("pickle-tuple", b"(lp0\n(VID_\np1\nVSECRET_\np2\ntp3\na."),
    ("pickle-bare", b"VID_\nVSECRET_\n"),
];

#[test]
fn a_key_is_found_beside_the_marks_of_formats() {
    let host = Host::new();
    // With other keys each time, whose characters may look like marks.
    for _ in 0..8 {
        for (name, form) in FORMS {
            let key = host.key_pair();
            let path = host.write(
                name,
                fill(form, &[("ID_", &key.id), ("SECRET_", &key.secret)]),
            );
            let ran = Rolecall::new(["scan", "--format", "json"]).arg(path).run();
            let told: Vec<_> = ran
                .of_type("finding")
                .iter()
                .map(|finding| {
                    ["rule", "access_key_id", "secret_fingerprint"]
                        .map(|field| finding[field].as_str().unwrap_or_default().to_owned())
                })
                .collect();
            let fingerprint = secret_fingerprint(&Secret::new(key.secret.as_bytes()));
            let expected = ["aws.access-key-pair", &key.id, &fingerprint].map(str::to_owned);
            assert_eq!(told, [expected], "{name}");
        }
    }
}

fn fill(form: &[u8], values: &[(&str, &str)]) -> Vec<u8> {
    let mut filled = form.to_vec();
    for (name, value) in values {
        let at = memchr::memmem::find(&filled, name.as_bytes()).expect("a place");
        filled.splice(at..at + name.len(), value.bytes());
    }
    filled
}
