//! The configuration of a server with several services: a file in TOML, whose keys are the flags of `evconn serve`.
//!
//! A service of it is turned into the command line that serves it alone: what the flags say, and how they are checked,
//! is defined in one place. This module knows what a flag looks like, and nothing of what it does.

mod document;
mod keys;
mod schema;
mod service;

pub use keys::Keys;
pub use schema::schema;
pub use service::Service;

use document::Document;
use keys::{ADMIN, unknown};
use service::{Settings, table};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of the file.
const TOP: [&str; 3] = [ADMIN, "defaults", "service"];

/// A configuration.
pub struct Configuration {
    document: Document,
    /// Where the admin endpoint listens, with the position.
    admin: Option<(String, Range<usize>)>,
    /// In the order of the file.
    pub services: Vec<Service>,
}

impl Configuration {
    /// Reads the services of a file, whose flags are not checked yet.
    ///
    /// # Errors
    /// What is wrong in the file, and where.
    pub fn read(path: &Path, keys: &Keys) -> anyhow::Result<Self> {
        Self::parse(Document::read(path)?, keys)
    }

    fn parse(document: Document, keys: &Keys) -> anyhow::Result<Self> {
        let root = document.parse()?;
        let admin = admin(&document, &root)?;
        let services = services(&document, &root, keys)?;
        drop(root);
        check_listeners(&document, admin.as_ref(), &services)?;
        Ok(Self {
            document,
            admin,
            services,
        })
    }

    /// Returns where the admin endpoint listens, if there is one.
    ///
    /// # Errors
    /// If `parse` cannot parse it.
    pub fn admin<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> anyhow::Result<Option<T>> {
        let parsed = self.admin.as_ref().map(|(text, at)| {
            let wrong = |why| format!("invalid value `{text}` for `{ADMIN}`: {why}");
            parse(text).map_err(|why| self.document.error(at, &wrong(why)))
        });
        parsed.transpose()
    }

    /// Returns what is wrong with the command line of a service, and where that is in the file.
    pub fn explain(&self, service: &Service, error: &clap::Error) -> anyhow::Error {
        let (at, message) = service.explain(error);
        self.document.error(&at, &message)
    }

    /// Returns an error of a key of a service.
    pub fn error(&self, service: &Service, key: &str, message: &str) -> anyhow::Error {
        self.document.error(&service.position(key), message)
    }
}

fn admin(
    document: &Document,
    root: &DeTable<'_>,
) -> anyhow::Result<Option<(String, Range<usize>)>> {
    let read = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Ok((text.to_string(), value.span())),
        other => {
            let message = format!("`{ADMIN}` should be a string, not {}", other.type_str());
            Err(document.error(&value.span(), &message))
        }
    };
    root.get(ADMIN).map(read).transpose()
}

fn services(document: &Document, root: &DeTable<'_>, keys: &Keys) -> anyhow::Result<Vec<Service>> {
    for name in root.keys() {
        if !TOP.contains(&name.get_ref().as_ref()) {
            let message = unknown("key", name.get_ref(), TOP.into_iter());
            return Err(document.error(&name.span(), &message));
        }
    }
    let defaults = match root.get("defaults") {
        Some(value) => {
            let defaults = table(document, "defaults", value)?;
            if let Some((name, _)) = defaults.get_key_value(keys::COMPONENT) {
                return Err(document.error(&name.span(), "each service has a component of its own"));
            }
            Settings::read(document, defaults, keys)?
        }
        None => Settings::default(),
    };
    let Some(value) = root.get("service") else {
        return Err(document.error(&(0..0), "there is no service: a table `[service.NAME]`"));
    };
    let mut services = Vec::new();
    for (name, value) in table(document, "service", value)? {
        check_name(name.get_ref()).map_err(|why| document.error(&name.span(), &why))?;
        let settings = table(document, name.get_ref(), value)?;
        let settings = Settings::read(document, settings, keys)?.or(&defaults);
        services.push(Service::new(
            name.get_ref().to_string(),
            name.span(),
            settings,
        ));
    }
    // A table that is read has no order.
    services.sort_by_key(|service| service.at.start);
    match services.is_empty() {
        true => Err(document.error(
            &value.span(),
            "there is no service: a table `[service.NAME]`",
        )),
        false => Ok(services),
    }
}

/// Names are shown in the log, and are labels of metrics.
fn check_name(name: &str) -> Result<(), String> {
    let is_ordinary = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.len() <= 63 && name.chars().all(is_ordinary) {
        true => Ok(()),
        false => Err(format!(
            "`{}` is not a name of a service: it consists of 1 to 63 letters, digits, `-`, `_` and `.`",
            name.escape_debug()
        )),
    }
}

/// Refuses an address that two services have, one service twice, or a service and the admin endpoint.
fn check_listeners(
    document: &Document,
    admin: Option<&(String, Range<usize>)>,
    services: &[Service],
) -> anyhow::Result<()> {
    let mut known: HashMap<&str, &Service> = HashMap::new();
    for service in services {
        for (key, source) in service.sources().filter(|(_, source)| !is_any(source)) {
            if admin.is_some_and(|(admin, _)| admin == source) {
                let message = format!(
                    "service `{}` has the same listener `{source}` as `{ADMIN}`",
                    service.name
                );
                return Err(document.error(&service.position(key), &message));
            }
            if let Some(other) = known.insert(source, service) {
                let message = match other.name == service.name {
                    true => format!("service `{}` has the listener `{source}` twice", other.name),
                    false => format!(
                        "services `{}` and `{}` have the same listener `{source}`",
                        other.name, service.name
                    ),
                };
                return Err(document.error(&service.position(key), &message));
            }
        }
    }
    Ok(())
}

/// Returns whether a source is another one each time: the system chooses the port.
fn is_any(source: &str) -> bool {
    source.ends_with(":0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction, Command};
    use std::ffi::OsString;

    fn keys() -> Keys {
        let command = Command::new("serve")
            .arg(Arg::new("listen").long("listen").action(ArgAction::Append))
            .arg(Arg::new("reuse").long("reuse"))
            .arg(Arg::new("fast").long("fast").action(ArgAction::SetTrue));
        Keys::of(&command)
    }

    fn parse(text: &str) -> anyhow::Result<Configuration> {
        let document = Document::new(Path::new("a.toml"), text.to_owned());
        Configuration::parse(document, &keys())
    }

    fn error(text: &str) -> String {
        parse(text).err().expect("an error").to_string()
    }

    #[test]
    fn a_service_is_a_command_line() {
        let text = "
            [defaults]
            reuse = 3
            fast = true
            [service.b]
            component = 'b.wasm'
            listen = ['[::1]:0', '[::1]:0']
            reuse = 0x1_0
            [service.a]
            component = '-.wasm'
            listen = 'localhost:1'
            fast = false
        ";
        let configuration = parse(text).expect("it is right");
        let lines: Vec<_> = configuration
            .services
            .iter()
            .map(|service| service.command_line(&[OsString::from("own")], &[]))
            .collect();
        let expected = [
            vec![
                "own",
                "--fast",
                "--listen=[::1]:0",
                "--listen=[::1]:0",
                "--reuse=16",
                "--",
                "b.wasm",
            ],
            vec!["own", "--listen=localhost:1", "--reuse=3", "--", "-.wasm"],
        ];
        assert_eq!(lines, expected);
        let given = ["reuse".to_owned()];
        let without = configuration.services[1].command_line(&[], &given);
        assert_eq!(
            without,
            ["--listen=localhost:1", "--", "-.wasm"],
            "flags win"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_position() {
        for (text, expected) in [
            ("", "a.toml:1:1: there is no service"),
            ("[service]", "a.toml:1:1: there is no service"),
            (
                "service = 1",
                "a.toml:1:11: `service` should be a table, not integer",
            ),
            (
                "[services.a]",
                "a.toml:1:2: unknown key `services`: did you mean `service`?",
            ),
            (
                "[service.a]\nresue = 1",
                "a.toml:2:1: unknown key `resue`: did you mean `reuse`?",
            ),
            (
                "[service.a]\nreuse = true",
                "a.toml:2:9: `reuse` should be a string or a number, not boolean",
            ),
            (
                "[service.a]\nreuse = [1]",
                "a.toml:2:9: `reuse` should be a string or a number, not array",
            ),
            (
                "[service.a]\nfast = 1",
                "a.toml:2:8: `fast` should be true or false, not integer",
            ),
            (
                "[service.a]\nlisten = [[1]]",
                "a.toml:2:10: `listen` should be a string or a number, not array",
            ),
            ("[service.'a b']\n", "a.toml:1:10: `a b` is not a name"),
            (
                "[defaults]\ncomponent = 'a'",
                "a.toml:2:1: each service has a component",
            ),
            (
                "[service.a]\nlisten = ':1'\n[service.b]\nlisten = ':1'",
                "a.toml:4:10: services `a` and `b` have the same listener `:1`",
            ),
            (
                "[service.a]\nlisten = [':1', ':1']",
                "a.toml:2:10: service `a` has the listener `:1` twice",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_wrong_command_line_is_told_as_the_file_has_it() {
        let configuration = parse("[service.a]\nreuse = 'x'\nfast = true").expect("it is right");
        let service = &configuration.services[0];
        let command = Command::new("evconn")
            .arg(Arg::new("app").value_name("APP").required(true))
            .arg(
                Arg::new("fast")
                    .long("fast")
                    .action(ArgAction::SetTrue)
                    .conflicts_with("app"),
            )
            .arg(
                Arg::new("reuse")
                    .long("reuse")
                    .value_parser(clap::value_parser!(u8)),
            );
        let explain = |command: Command, arguments: &[&str]| {
            let error = command.try_get_matches_from(arguments).expect_err("wrong");
            configuration.explain(service, &error).to_string()
        };
        assert_eq!(
            explain(command.clone(), &["evconn", "--reuse=x", "a"]),
            "a.toml:2:9: invalid value `x` for `reuse`: invalid digit found in string"
        );
        assert_eq!(
            explain(command.clone(), &["evconn"]),
            "a.toml:1:10: service `a` lacks `component`"
        );
        let conflict = explain(command, &["evconn", "--fast", "a"]);
        assert!(conflict.contains("cannot be used with"), "{conflict}");
    }
}
