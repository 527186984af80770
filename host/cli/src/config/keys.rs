//! The keys of a service: the flags of `evconn serve`, as clap knows them, and `component`.

use clap::{Arg, ArgAction, Command};

/// The key that names the component.
pub const COMPONENT: &str = "component";

/// The key of the admin endpoint, which all services have in common.
pub const ADMIN: &str = "admin";

/// The lowest similarity of two names, from 0 to 1, of which one may be meant by the other.
const SIMILAR: f64 = 0.7;

/// A setting of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name of the flag, without the dashes.
    pub name: String,
    pub kind: Kind,
    /// What the flag does, in one line.
    pub about: String,
    /// The values that are possible, if they are names.
    pub values: Vec<String>,
}

/// How many values a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Switch,
    One,
    /// A list, or one value.
    Many,
}

/// The keys of a service.
pub struct Keys(Vec<Key>);

impl Keys {
    /// Returns the visible flags of a command as keys.
    pub fn of(command: &Command) -> Self {
        let component = Key {
            name: COMPONENT.to_owned(),
            kind: Kind::One,
            about: "Component to serve".to_owned(),
            values: Vec::new(),
        };
        let flags = command.get_arguments().filter_map(Key::of_flag);
        Self([component].into_iter().chain(flags).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Returns the key with this name.
    ///
    /// # Errors
    /// If there is none: what may be meant.
    pub fn get(&self, name: &str) -> Result<&Key, String> {
        if name == ADMIN {
            return Err(format!(
                "`{ADMIN}` is a key of the file, for all services: put it in front of the first table"
            ));
        }
        let key = self.iter().find(|key| key.name == name);
        key.ok_or_else(|| unknown("key", name, self.iter().map(|key| key.name.as_str())))
    }
}

impl Key {
    /// Returns the key of a flag, unless that is hidden, or means something on a command line only.
    fn of_flag(arg: &Arg) -> Option<Self> {
        let name = arg.get_long()?;
        if arg.is_hide_set() || [ADMIN, "config", "help", "version"].contains(&name) {
            return None;
        }
        let kind = match arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Append => Kind::Many,
            _ => Kind::One,
        };
        let values = match kind {
            Kind::Switch => Vec::new(),
            Kind::One | Kind::Many => arg.get_possible_values(),
        };
        let visible = values.iter().filter(|value| !value.is_hide_set());
        Some(Self {
            name: name.to_owned(),
            kind,
            about: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            values: visible.map(|value| value.get_name().to_owned()).collect(),
        })
    }
}

/// Returns that there is nothing of this name, and which of these names may be meant.
pub fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let similar = names
        .map(|known| (strsim::jaro(name, known), known))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match similar {
        Some((_, known)) => format!("unknown {what} `{name}`: did you mean `{known}`?"),
        None => format!("unknown {what} `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_visible_flags() {
        let command = Command::new("serve")
            .arg(Arg::new("app"))
            .arg(Arg::new("config").long("config"))
            .arg(Arg::new("name").long("name").hide(true))
            .arg(Arg::new("reuse").long("reuse").help("Use it again"))
            .arg(Arg::new("kind").long("kind").value_parser(["a", "b"]))
            .arg(Arg::new("dir").long("dir").action(ArgAction::Append))
            .arg(Arg::new("fast").long("fast").action(ArgAction::SetTrue));
        let keys = Keys::of(&command);
        let all: Vec<_> = keys.iter().map(|key| (&*key.name, key.kind)).collect();
        let expected = [
            (COMPONENT, Kind::One),
            ("reuse", Kind::One),
            ("kind", Kind::One),
            ("dir", Kind::Many),
            ("fast", Kind::Switch),
        ];
        assert_eq!(all, expected);
        assert_eq!(keys.get("reuse").expect("a key").about, "Use it again");
        assert_eq!(keys.get("kind").expect("a key").values, ["a", "b"]);
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let keys = Keys::of(&Command::new("serve").arg(Arg::new("reuse").long("reuse")));
        let error = |name| keys.get(name).expect_err("no key");
        assert_eq!(error("resue"), "unknown key `resue`: did you mean `reuse`?");
        assert_eq!(error("xyz"), "unknown key `xyz`");
    }
}
