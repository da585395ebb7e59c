//! The command with which a unit starts its program.

use super::Unit;
use crate::host::{Omitted, Root};
use crate::secret::Secret;

impl Unit {
    /// The words of `ExecStart=` as its program gets them. Of variables those
    /// that are a word of their own: `${NAME}` stands for a value, `$NAME` for
    /// the words in it.
    pub fn command(&self, root: Root<'_>, omitted: &mut Omitted) -> Vec<Secret> {
        let environment = self.started_with(root, omitted);
        let value = |name: &[u8]| {
            let mut named = environment.iter();
            let named = named.find(|one| one.name.as_bytes() == name);
            named.map_or(&b""[..], |one| one.value.expose())
        };
        let started = self.arguments.get(&b"ExecStart"[..]);
        let words = started.into_iter().flatten().map(Secret::expose);
        let words = words.flat_map(|word| {
            let Some(name) = word.strip_prefix(b"$") else {
                return vec![word];
            };
            let braced = name.strip_prefix(b"{");
            if let Some(name) = braced.and_then(|name| name.strip_suffix(b"}")) {
                return vec![value(name)];
            }
            let parts = value(name).split(u8::is_ascii_whitespace);
            parts.filter(|part| !part.is_empty()).collect()
        });
        words.map(Secret::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    #[test]
    fn variables_of_a_command_are_the_words_that_they_hold() {
        let tree = Tree::new(&[
            (
                "usr/lib/systemd/system/a.service",
                "[Service]\nEnvironmentFile=-/etc/a\nExecStart=/bin/old\nExecStart=\n\
                 ExecStart=/bin/a $MORE ${MORE} $GONE 'b c'\n",
            ),
            ("etc/a", "MORE=\"--x  /y\"\n"),
        ]);
        let unit = tree.unit("a.service").unwrap();
        let command = unit.command(tree.root(), &mut Omitted::default());
        let words: Vec<_> = command.iter().filter_map(Secret::expose_str).collect();
        assert_eq!(words, ["/bin/a", "--x", "/y", "--x  /y", "b c"]);
    }
}
