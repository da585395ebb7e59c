//! What a part for cloud-init names: the files that `#cloud-config` writes, the
//! parts of a `#cloud-config-archive`, and what `#include` loads.

use saphyr_parser::{Event, Parser};

use crate::sanitize;

/// Files of one text that are looked at one by one.
const MAX_FILES: usize = 1000;

/// URLs of one text that are told.
const MAX_URLS: usize = 100;

/// Bytes of a cloud-config; YAML costs time.
const MAX_TEXT: usize = 1024 * 1024;

/// An entry of `write_files`. Its content is as it stands there, in whatever
/// encoding it names: the detector reads those.
#[derive(Debug, Default)]
pub(super) struct WriteFile {
    index: usize,
    path: String,
    pub(super) content: String,
    is_base64: bool,
    /// Where it is loaded from instead.
    pub(super) uri: Option<String>,
}

impl WriteFile {
    pub(super) fn name(&self) -> String {
        format!("write_files[{}] {}", self.index, self.path)
    }
}

/// What a text is to cloud-init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Archive,
    Include,
    Other,
}

impl Kind {
    /// What the text's first line says, unless its type was declared; a template
    /// says so one line further down.
    pub(super) fn of(text: &str, declared: Option<&str>) -> Self {
        match declared.map(str::to_ascii_lowercase).as_deref() {
            Some("text/cloud-config") => return Self::Config,
            Some("text/cloud-config-archive") => return Self::Archive,
            Some("text/x-include-url" | "text/x-include-once-url") => return Self::Include,
            _ => {}
        }
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let first = |text: &str| text.lines().next().unwrap_or_default().to_ascii_lowercase();
        let line = match first(text) {
            line if line.starts_with("## template:") => {
                first(text.split_once('\n').map_or("", |(_, rest)| rest))
            }
            line => line,
        };
        if line.starts_with("#cloud-config-archive") {
            Self::Archive
        } else if line.starts_with("#cloud-config") {
            Self::Config
        } else if line.starts_with("#include") {
            Self::Include
        } else {
            Self::Other
        }
    }
}

/// The entries of `write_files`, as far as the YAML can be read.
pub(super) fn files(text: &str) -> Vec<WriteFile> {
    let mut files = Vec::new();
    if text.len() > MAX_TEXT {
        return files;
    }
    // Keys are those of an entry at depth 3: document, list, entry.
    let mut depth = 0;
    let mut in_list = false;
    let mut key: Option<String> = None;
    let mut index = 0;
    let mut file = WriteFile::default();
    for event in Parser::new_from_str(text) {
        // Behind an error only the whole text is read.
        let Ok((event, _)) = event else { break };
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                depth += 1;
                in_list |= depth == 2 && key.as_deref() == Some("write_files");
                key = None;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                if in_list && depth == 3 {
                    file.index = index;
                    index += 1;
                    let mut file = std::mem::take(&mut file);
                    if file.is_base64 {
                        // Of folded lines blanks are left, which mean nothing.
                        file.content.retain(|character| character != ' ');
                    }
                    let is_told = !file.content.is_empty() || file.uri.is_some();
                    if is_told && files.len() < MAX_FILES {
                        files.push(file);
                    }
                }
                in_list &= depth != 2;
                depth -= 1;
                key = None;
            }
            // The keys of `source` are no others'.
            Event::Scalar(value, ..) if in_list && depth == 4 => match key.take().as_deref() {
                None => key = Some(value.into_owned()),
                Some("uri") => {
                    file.uri = Some(sanitize::url(&value)).filter(|uri| !uri.is_empty());
                }
                Some(_) => {}
            },
            Event::Scalar(value, ..) if depth == 1 || (in_list && depth == 3) => {
                match key.take().as_deref() {
                    None => key = Some(value.into_owned()),
                    Some("path") if in_list => file.path = value.into_owned(),
                    Some("content") if in_list => file.content = value.into_owned(),
                    Some("encoding") if in_list => {
                        let encoding = value.to_ascii_lowercase();
                        file.is_base64 = encoding.ends_with("b64") || encoding.ends_with("base64");
                    }
                    Some(_) => {}
                }
            }
            Event::Alias(_) => key = None,
            _ => {}
        }
    }
    files
}

/// A part of an archive.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) content: String,
    /// Its type, if it names one.
    pub(super) declared: Option<String>,
}

/// The parts of a `#cloud-config-archive`: a list of texts, or of mappings with
/// a `content` and perhaps a `filename`.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    if text.len() > MAX_TEXT {
        return parts;
    }
    let mut depth = 0;
    let mut number = 0;
    let mut key: Option<String> = None;
    let mut part = Part::default();
    for event in Parser::new_from_str(text) {
        let Ok((event, _)) = event else { break };
        let mut is_whole = false;
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                depth += 1;
                key = None;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                is_whole = depth == 2;
                depth -= 1;
                key = None;
            }
            Event::Scalar(value, ..) if depth == 1 => {
                part.content = value.into_owned();
                is_whole = true;
            }
            Event::Scalar(value, ..) if depth == 2 => match key.take().as_deref() {
                None => key = Some(value.into_owned()),
                Some("filename") => part.name = value.into_owned(),
                Some("content") => part.content = value.into_owned(),
                Some("type") => part.declared = Some(value.into_owned()),
                Some(_) => {}
            },
            Event::Alias(_) => key = None,
            _ => {}
        }
        if is_whole {
            number += 1;
            let mut part = std::mem::take(&mut part);
            if part.name.is_empty() {
                // As cloud-init names what has no name.
                part.name = format!("part-{number:03}");
            }
            if !part.content.is_empty() && parts.len() < MAX_FILES {
                parts.push(part);
            }
        }
    }
    parts
}

/// The URLs that are loaded in place of the text, without what may be a
/// password or a signature in them. The first may stand behind the word itself.
pub(super) fn includes(text: &str) -> Vec<String> {
    let url = |line: &'_ str| -> Option<String> {
        let line = line.trim_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
        let word = ["#include-once", "#include"].into_iter().find(|word| {
            let start = line.get(..word.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        });
        let url = line[word.map_or(0, str::len)..].trim_start();
        (!url.starts_with('#') && url.contains("://")).then(|| sanitize::url(url))
    };
    text.lines().filter_map(url).take(MAX_URLS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<(String, String)> {
        let files = files(text).into_iter();
        files.map(|file| (file.name(), file.content)).collect()
    }

    #[test]
    fn each_file_has_its_index_path_and_content() {
        let text = "#cloud-config\n\
            packages: [a, {path: /no, content: no}]\n\
            write_files:\n\
            - path: /etc/a.env\n  content: |\n    A=1\n    B=2\n\
            - {path: /etc/empty}\n\
            - encoding: gz+b64\n  content: !!binary |\n    QUJD\n    REVG\n  owner: {path: /x}\n  path: /etc/b\n\
            - content: 'c'\n\
            runcmd:\n- [path, content]\n";
        assert_eq!(
            named(text),
            [
                ("write_files[0] /etc/a.env", "A=1\nB=2\n"),
                ("write_files[2] /etc/b", "QUJD\nREVG\n"),
                ("write_files[3] ", "c"),
            ]
            .map(|(name, content)| (name.to_owned(), content.to_owned()))
        );
    }

    #[test]
    fn a_template_is_read_as_far_as_it_is_yaml() {
        let text = "## template: jinja\n#cloud-config\nwrite_files:\n- path: /a\n  content: x\n\
            {% if y %}\n- path: /b\n  content: z\n{% endif %}\n";
        assert_eq!(named(text), [("write_files[0] /a".into(), "x".into())]);
    }

    #[test]
    fn what_is_no_cloud_config_writes_no_files() {
        for text in [
            "",
            "#!/bin/sh\nwrite_files:\n",
            "#cloud-config\nwrite_files: [[]]\n",
        ] {
            assert_eq!(named(text), [], "{text}");
        }
    }

    #[test]
    fn the_parts_of_an_archive_have_their_names() {
        let text = "#cloud-config-archive\n\
            - type: text/x-shellscript\n  filename: run.sh\n  content: |\n    #!/bin/sh\n    A=1\n\
            - {type: text/cloud-config}\n\
            - |\n  #include\n  https://host/a\n\
            - content: x\n  more: {content: no, filename: no}\n";
        let told: Vec<_> = parts(text)
            .into_iter()
            .map(|part| (part.name, part.content))
            .collect();
        assert_eq!(
            told,
            [
                ("run.sh", "#!/bin/sh\nA=1\n"),
                ("part-003", "#include\nhttps://host/a\n"),
                ("part-004", "x"),
            ]
            .map(|(name, content)| (name.to_owned(), content.to_owned()))
        );
    }

    #[test]
    fn an_included_url_is_told_without_its_secrets() {
        let text =
            "#include\n# a comment\nhttps://user:pa/ss@host/a/b?X-Amz-Signature=1#c\n\n  s3://b\n";
        assert_eq!(includes(text), ["https://host/a/b", "s3://b"]);
        assert_eq!(
            includes("\n#Include-Once https://host/a\n"),
            ["https://host/a"]
        );
        assert_eq!(
            includes("#include\nHTTPS://h4/a\nHttp://h5\n"),
            ["https://h4/a", "http://h5"]
        );
    }

    #[test]
    fn a_text_is_what_was_declared_or_what_its_first_line_says() {
        for (text, declared, kind) in [
            ("\n\n#cloud-config\na: b", None, Kind::Config),
            ("## template: jinja\n#cloud-config\n", None, Kind::Config),
            (
                "#cloud-config-archive\n- a",
                Some("text/plain"),
                Kind::Archive,
            ),
            ("#INCLUDE https://a", None, Kind::Include),
            ("https://a", Some("text/x-include-url"), Kind::Include),
            ("a: b", Some("Text/Cloud-Config"), Kind::Config),
            ("#!/bin/sh\ncurl https://a", None, Kind::Other),
            ("", None, Kind::Other),
        ] {
            assert_eq!(Kind::of(text, declared), kind, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_loaded_from_elsewhere_says_from_where() {
        let text = "#cloud-config\nwrite_files:\n- path: /a\n  source:\n    uri: https://u:p@host/x\n\
            \x20   headers: {uri: no}\n  content: x\n- path: /b\n";
        let files = files(text);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].uri.as_deref(), Some("https://host/x"));
        assert_eq!(
            (files[0].name().as_str(), files[0].content.as_str()),
            ("write_files[0] /a", "x")
        );
    }
}
