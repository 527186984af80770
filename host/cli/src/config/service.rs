//! A service of a configuration as the command line that serves it alone.

use super::document::Document;
use super::keys::{COMPONENT, Key, Keys, Kind};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The values of some keys, with their positions.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, Setting>);

#[derive(Clone)]
struct Setting {
    /// What follows the flag, for each time that it is given. None: it is a switch.
    values: Vec<Option<String>>,
    at: Range<usize>,
}

/// A service.
pub struct Service {
    pub name: String,
    /// The position of its table.
    pub at: Range<usize>,
    settings: Settings,
}

impl Settings {
    /// Reads a table.
    ///
    /// # Errors
    /// If a key is unknown, or its value of the wrong type.
    pub fn read(document: &Document, table: &DeTable<'_>, keys: &Keys) -> anyhow::Result<Self> {
        let mut settings = BTreeMap::new();
        for (name, value) in table {
            let key = keys.get(name.get_ref());
            let key = key.map_err(|message| document.error(&name.span(), &message))?;
            let values = values(key, value.get_ref());
            let values = values.map_err(|message| document.error(&value.span(), &message))?;
            let at = value.span();
            settings.insert(key.name.clone(), Setting { values, at });
        }
        Ok(Self(settings))
    }

    /// Returns these settings, and those of `defaults` that are not among them.
    pub fn or(self, defaults: &Self) -> Self {
        let mut all = defaults.0.clone();
        all.extend(self.0);
        Self(all)
    }
}

impl Service {
    pub fn new(name: String, at: Range<usize>, settings: Settings) -> Self {
        Self { name, at, settings }
    }

    /// Returns the position of a key, or that of the service if it does not have it.
    pub fn position(&self, key: &str) -> Range<usize> {
        let setting = self.settings.0.get(key);
        setting.map_or_else(|| self.at.clone(), |setting| setting.at.clone())
    }

    /// Returns the values of a key.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let values = self.settings.0.get(key).map(|setting| &setting.values[..]);
        values
            .unwrap_or_default()
            .iter()
            .filter_map(Option::as_deref)
    }

    /// Returns where it listens, with the key that says so.
    pub fn sources(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values("listen").map(|source| ("listen", source))
    }

    /// Appends the flags, and then the component, to a command line. Leaves out the keys that it has itself.
    pub fn command_line(&self, own: &[OsString], given: &[String]) -> Vec<OsString> {
        let mut arguments = own.to_vec();
        let settings = self.settings.0.iter();
        let flags = settings.filter(|(name, _)| *name != COMPONENT && !given.contains(name));
        arguments.extend(flags.flat_map(|(name, setting)| setting.flags(name)));
        arguments.push("--".into());
        arguments.extend(self.values(COMPONENT).map(OsString::from));
        arguments
    }

    /// Returns where the command line is wrong, and how.
    pub fn explain(&self, error: &clap::Error) -> (Range<usize>, String) {
        let names = |kind| match error.get(kind) {
            Some(ContextValue::String(name)) => vec![name.clone()],
            Some(ContextValue::Strings(names)) => names.clone(),
            _ => Vec::new(),
        };
        let arguments = names(ContextKind::InvalidArg);
        let key = arguments.first().map(|argument| key_of(argument));
        let at = key.map_or_else(|| self.at.clone(), |key| self.position(key));
        let message = match (error.kind(), key) {
            (ErrorKind::MissingRequiredArgument, _) => {
                let missing: Vec<_> = arguments.iter().map(|name| key_of(name)).collect();
                format!(
                    "service `{}` lacks `{}`",
                    self.name,
                    missing.join("` and `")
                )
            }
            (ErrorKind::ArgumentConflict, Some(key)) => {
                let others = names(ContextKind::PriorArg);
                let others: Vec<_> = others.iter().map(|name| key_of(name)).collect();
                format!("`{key}` cannot be used with `{}`", others.join("` and `"))
            }
            (_, Some(key)) => {
                let value = names(ContextKind::InvalidValue).join(" ");
                format!("invalid value `{value}` for `{key}`{}", reason(error))
            }
            (_, None) => first_line(error),
        };
        (at, message)
    }
}

impl Setting {
    fn flags<'a>(&'a self, name: &'a str) -> impl Iterator<Item = OsString> + 'a {
        self.values.iter().map(move |value| match value {
            Some(value) => format!("--{name}={value}").into(),
            None => format!("--{name}").into(),
        })
    }
}

/// Returns what follows a flag, for each time that it is given.
///
/// # Errors
/// If the value has another type.
fn values(key: &Key, value: &DeValue<'_>) -> Result<Vec<Option<String>>, String> {
    let name = &key.name;
    let one = |value: &DeValue<'_>| {
        let text = scalar(value).ok_or_else(|| {
            format!(
                "`{name}` should be a string or a number, not {}",
                value.type_str()
            )
        });
        text.map(Some)
    };
    match (key.kind, value) {
        (Kind::Switch, DeValue::Boolean(true)) => Ok(vec![None]),
        (Kind::Switch, DeValue::Boolean(false)) => Ok(Vec::new()),
        (Kind::Switch, value) => Err(format!(
            "`{name}` should be true or false, not {}",
            value.type_str()
        )),
        (Kind::Many, DeValue::Array(values)) => {
            values.iter().map(|value| one(value.get_ref())).collect()
        }
        (Kind::One | Kind::Many, value) => Ok(vec![one(value)?]),
    }
}

/// Returns a value as a flag has it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let number = i128::from_str_radix(number.as_str(), number.radix());
            number.ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Returns the key of a flag, as `--reuse <N>`, or of the component.
fn key_of(argument: &str) -> &str {
    match argument.strip_prefix("--") {
        Some(flag) => flag.split([' ', '=']).next().unwrap_or(flag),
        None => COMPONENT,
    }
}

fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return format!(": {source}");
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!(": it is one of {}", values.join(", ")),
        _ => String::new(),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// Returns a table, and its position.
///
/// # Errors
/// If the value is none.
pub fn table<'a, 'b>(
    document: &Document,
    name: &str,
    value: &'a Spanned<DeValue<'b>>,
) -> anyhow::Result<&'a DeTable<'b>> {
    let table = value.get_ref().as_table();
    table.ok_or_else(|| {
        let kind = value.get_ref().type_str();
        let message = format!("`{name}` should be a table, not {kind}");
        document.error(&value.span(), &message)
    })
}
