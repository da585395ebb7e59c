//! What the documentation says of the code and is made from it.

use std::path::Path;

/// Holds the part of `file` between `<!-- NAME -->` and `<!-- /NAME -->`
/// against `text`; with `ROLECALL_BLESS=1` writes it there.
pub(crate) fn says(file: &str, name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (head, rest) = page.split_once(&begin).expect("the part's begin");
    let (there, tail) = rest.split_once(&end).expect("the part's end");
    if std::env::var_os("ROLECALL_BLESS").is_some() {
        std::fs::write(path, [head, &begin, text, &end, tail].concat()).unwrap();
        return;
    }
    assert_eq!(there, text, "{file}: write it anew with ROLECALL_BLESS=1");
}
