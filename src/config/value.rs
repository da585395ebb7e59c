//! Values as a file or a flag gives them, and the readers that turn them into
//! checked ones. A reader is the one place that knows what its key accepts.

use std::ops::{Range, RangeInclusive};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use toml::Spanned;
use toml::de::DeValue;
use toml::value::Datetime;

use super::endpoint::read_endpoint;
use super::error::{Invalid, quote};
use super::glob::PathGlobs;
use super::nearest::nearest;
use super::proxy::read_proxy;
use super::quantity::{read_duration, read_size, show_duration, show_size};
use super::{Proxy, ShipMode};

/// A value, and where in its file it stands; a flag's stands nowhere.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) kind: Kind,
    pub(super) span: Option<Range<usize>>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Boolean(bool),
    /// `None` where it does not fit.
    Integer(Option<i64>),
    Text(String),
    Datetime(Datetime),
    List(Vec<Raw>),
    Float,
    Table,
}

type Read<T> = Result<T, Invalid>;

impl Raw {
    /// Tables and what is in them are told apart before this.
    pub(super) fn from_toml(value: &Spanned<DeValue<'_>>) -> Self {
        let kind = match value.get_ref() {
            DeValue::String(text) => Kind::Text(text.clone().into_owned()),
            DeValue::Integer(n) => Kind::Integer(i64::from_str_radix(n.as_str(), n.radix()).ok()),
            DeValue::Float(_) => Kind::Float,
            DeValue::Boolean(yes) => Kind::Boolean(*yes),
            DeValue::Datetime(when) => Kind::Datetime(*when),
            DeValue::Array(list) => Kind::List(list.iter().map(Self::from_toml).collect()),
            DeValue::Table(_) => Kind::Table,
        };
        Self {
            kind,
            span: Some(value.span()),
        }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Kind::Text(text.into()).into()
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn expected(&self, what: &str) -> Invalid {
        let found = match &self.kind {
            Kind::Boolean(_) => "a boolean",
            Kind::Integer(_) => "an integer",
            Kind::Text(_) => "a string",
            Kind::Datetime(_) => "a date",
            Kind::List(_) => "an array",
            Kind::Float => "a float",
            Kind::Table => "a table",
        };
        self.invalid(Invalid::new(format!("expected {what}, found {found}")))
    }

    fn invalid(&self, invalid: Invalid) -> Invalid {
        match &self.span {
            Some(span) => invalid.at(span),
            None => invalid,
        }
    }

    fn read_text<T>(&self, what: &str, read: impl FnOnce(&str) -> Read<T>) -> Read<T> {
        let text = self.as_text().ok_or_else(|| self.expected(what))?;
        read(text).map_err(|invalid| self.invalid(invalid))
    }
}

impl From<Kind> for Raw {
    fn from(kind: Kind) -> Self {
        Self { kind, span: None }
    }
}

pub(super) fn boolean(raw: &Raw) -> Read<bool> {
    match raw.kind {
        Kind::Boolean(yes) => Ok(yes),
        _ => Err(raw.expected("true or false")),
    }
}

pub(super) fn integer<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&Raw) -> Read<T> {
    move |raw| {
        let (low, high) = (range.start(), range.end());
        let what = format!("a whole number from {low} to {high}");
        let Kind::Integer(number) = raw.kind else {
            return Err(raw.expected(&what));
        };
        number
            .filter(|n| range.contains(n))
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| {
                let shown = number.map_or("this".into(), |n| n.to_string());
                raw.invalid(Invalid::new(format!("{shown} is not {what}")))
            })
    }
}

pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Raw) -> Read<Duration> {
    move |raw| {
        raw.read_text("a duration in quotes, such as \"10m\"", |text| {
            let duration = read_duration(text)?;
            in_range(&range, duration, text, |bound| show_duration(*bound))
        })
    }
}

pub(super) fn size(range: RangeInclusive<ByteSize>) -> impl Fn(&Raw) -> Read<ByteSize> {
    move |raw| {
        raw.read_text("a size in quotes, such as \"16MiB\"", |text| {
            let size = read_size(text)?;
            in_range(&range, size, text, |bound| show_size(*bound))
        })
    }
}

fn in_range<T: PartialOrd>(
    range: &RangeInclusive<T>,
    value: T,
    text: &str,
    show: impl Fn(&T) -> String,
) -> Read<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (low, high) = (show(range.start()), show(range.end()));
    let text = quote(text);
    Err(Invalid::new(format!("{text} is not from {low} to {high}")))
}

/// An absolute path: the service's working directory is nobody's business,
/// and `..` would be resolved against the wrong root.
pub(super) fn path(raw: &Raw) -> Read<PathBuf> {
    raw.read_text("a path in quotes", |text| {
        let path = Path::new(text);
        if !path.is_absolute() || text.contains('\0') {
            let text = quote(text);
            return Err(Invalid::new(format!("{text} is not an absolute path")));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(Invalid::new(format!("{} has a .. in it", quote(text))));
        }
        Ok(path.to_owned())
    })
}

/// At least one: an empty list here would look like a clean host.
pub(super) fn paths(raw: &Raw) -> Read<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = list(raw, path)?;
    if paths.is_empty() {
        return Err(raw.invalid(Invalid::new("expected at least one path")));
    }
    Ok(paths)
}

pub(super) fn globs(raw: &Raw) -> Read<PathGlobs> {
    // Each alone first, so that the error points at the one that is wrong.
    let globs = list(raw, |element| {
        element.read_text("a path glob in quotes", |text| {
            PathGlobs::new(vec![text.into()]).map(|_| text.to_owned())
        })
    })?;
    PathGlobs::new(globs).map_err(|invalid| raw.invalid(invalid))
}

fn list<T>(raw: &Raw, read: impl Fn(&Raw) -> Read<T>) -> Read<Vec<T>> {
    match &raw.kind {
        Kind::List(elements) => elements.iter().map(read).collect(),
        _ => Err(raw.expected("an array of strings")),
    }
}

pub(super) fn endpoint(raw: &Raw) -> Read<String> {
    raw.read_text("a URL in quotes", read_endpoint)
}

pub(super) fn proxy(raw: &Raw) -> Read<Proxy> {
    raw.read_text("a URL in quotes", read_proxy)
}

/// `""` says that there is none.
pub(super) fn optional<T>(read: impl Fn(&Raw) -> Read<T>) -> impl Fn(&Raw) -> Read<Option<T>> {
    move |raw| {
        if raw.as_text() == Some("") {
            return Ok(None);
        }
        read(raw).map(Some)
    }
}

pub(super) fn ship_mode(raw: &Raw) -> Read<ShipMode> {
    raw.read_text("\"auto\", \"always\" or \"never\"", |text| {
        let found = ShipMode::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| {
            let hint = nearest(text, ShipMode::ALL.map(ShipMode::name))
                .map(|name| format!("; did you mean \"{name}\"?"));
            Invalid::new(format!(
                "{} is not one of \"auto\", \"always\" and \"never\"{}",
                quote(text),
                hint.unwrap_or_default()
            ))
        })
    })
}

/// What `CreateLogGroup` accepts as a name.
pub(super) fn log_group(raw: &Raw) -> Read<String> {
    raw.read_text("a log group's name", |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._/#-".contains(&b);
        if (1..=512).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(text.to_owned());
        }
        Err(Invalid::new(format!(
            "{} is not a log group's name: 1 to 512 of a-z A-Z 0-9 . _ / # -",
            quote(text)
        )))
    })
}

/// What `CreateLogStream` accepts as a name, and no placeholder but the one
/// that there is.
pub(super) fn log_stream(raw: &Raw) -> Read<String> {
    raw.read_text("a log stream's name", |text| {
        let plain = text.replace("{instance_id}", "i-0123456789abcdef0");
        let refused = |why: &str| {
            let text = quote(text);
            Invalid::new(format!("{text} is not a log stream's name: {why}"))
        };
        if plain.contains(['{', '}']) {
            return Err(refused("the only placeholder is {instance_id}"));
        }
        if plain.contains([':', '*']) || plain.contains(char::is_control) {
            return Err(refused("it must not have : or * or control characters"));
        }
        if !(1..=512).contains(&plain.chars().count()) {
            return Err(refused("it must have 1 to 512 characters"));
        }
        Ok(text.to_owned())
    })
}

pub(super) fn region(raw: &Raw) -> Read<String> {
    raw.read_text("a region's name", |text| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        // The name becomes part of a host name.
        if begins && text.len() <= 32 && text.bytes().all(allowed) && text.contains('-') {
            return Ok(text.to_owned());
        }
        let text = quote(text);
        Err(Invalid::new(format!(
            "{text} is not a region such as \"eu-west-1\""
        )))
    })
}
