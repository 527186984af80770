//! The sockets passed by systemd: `sd_listen_fds_with_names(3)`, with the environment as an argument.
//!
//! The crates that do this treat malformed variables, and those meant for another process, as if nothing
//! was passed, so the error could not be reported.

use super::SourceError;
use super::parse::decimal;
use std::ffi::OsString;

/// The first descriptor that is passed.
const FIRST: i32 = 3;

/// A socket that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub number: i32,
    /// As in `FileDescriptorName=`.
    pub name: String,
}

/// Returns the sockets that were passed to the process `pid`: at least one.
pub(super) fn passed(
    lookup: impl Fn(&str) -> Option<OsString>,
    pid: u32,
) -> Result<Vec<Passed>, SourceError> {
    let text = |variable| lookup(variable).map(|value| value.to_string_lossy().into_owned());
    let count = text("LISTEN_FDS").ok_or(SourceError::NothingPassed("LISTEN_FDS"))?;
    let meant = text("LISTEN_PID").ok_or(SourceError::NothingPassed("LISTEN_PID"))?;
    let meant = number("LISTEN_PID", meant, "it is the number of a process")?;
    if meant != pid {
        return Err(SourceError::ForAnotherProcess { meant, this: pid });
    }
    let count: u16 = number("LISTEN_FDS", count, "it is how many sockets were passed")?;
    if count == 0 {
        return Err(SourceError::NonePassed);
    }
    let names = names(text("LISTEN_FDNAMES"), count)?;
    let numbers = FIRST..;
    let passed = numbers.zip(names);
    Ok(passed
        .map(|(number, name)| Passed { number, name })
        .collect())
}

/// Returns the descriptors of the sockets with this name, or of all: at least one.
pub(super) fn select(passed: Vec<Passed>, name: Option<&str>) -> Result<Vec<i32>, SourceError> {
    let is_meant = |passed: &&Passed| name.is_none_or(|name| passed.name == name);
    let numbers: Vec<i32> = passed.iter().filter(is_meant).map(|p| p.number).collect();
    match name {
        Some(name) if numbers.is_empty() => Err(SourceError::NoSuchName {
            name: name.to_owned(),
            names: passed.into_iter().map(|passed| passed.name).collect(),
        }),
        _ => Ok(numbers),
    }
}

fn number<T: std::str::FromStr>(
    variable: &'static str,
    value: String,
    expected: &str,
) -> Result<T, SourceError> {
    decimal(&value).ok_or_else(|| SourceError::Malformed {
        variable,
        value,
        expected: expected.to_owned(),
    })
}

fn names(value: Option<String>, count: u16) -> Result<Vec<String>, SourceError> {
    let Some(value) = value else {
        // systemd's own library uses this name for sockets without one.
        return Ok(vec!["unknown".to_owned(); count.into()]);
    };
    let names: Vec<String> = value.split(':').map(str::to_owned).collect();
    if names.len() != usize::from(count) {
        return Err(SourceError::Malformed {
            variable: "LISTEN_FDNAMES",
            value,
            expected: format!("LISTEN_FDS={count}, and it is one name each, with colons between"),
        });
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 4711;

    fn passed_in(environment: &[(&str, &str)]) -> Result<Vec<Passed>, SourceError> {
        let lookup = |name: &str| {
            let variable = environment.iter().find(|(variable, _)| *variable == name);
            variable.map(|(_, value)| OsString::from(value))
        };
        passed(lookup, PID)
    }

    fn refused(environment: &[(&str, &str)]) -> String {
        let error = passed_in(environment).expect_err("it is wrong").to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    fn socket(number: i32, name: &str) -> Passed {
        let name = name.to_owned();
        Passed { number, name }
    }

    #[test]
    fn sockets_are_numbered_from_3() {
        let passed = passed_in(&[("LISTEN_PID", "4711"), ("LISTEN_FDS", "2")]);
        let expected = [socket(3, "unknown"), socket(4, "unknown")];
        assert_eq!(passed.expect("two"), expected);
    }

    #[test]
    fn names_go_with_the_numbers() {
        let passed = passed_in(&[
            ("LISTEN_PID", "4711"),
            ("LISTEN_FDS", "3"),
            ("LISTEN_FDNAMES", "web::web"),
        ]);
        let passed = passed.expect("three");
        let expected = [socket(3, "web"), socket(4, ""), socket(5, "web")];
        assert_eq!(passed, expected);
        let of = |name| select(passed.clone(), name);
        assert_eq!(of(None).expect("all"), [3, 4, 5]);
        assert_eq!(of(Some("web")).expect("two"), [3, 5]);
        let error = of(Some("admin")).expect_err("nobody has the name");
        assert_eq!(
            error.to_string(),
            r#"no socket that is named "admin" was passed: there are "web", "", "web""#
        );
    }

    #[test]
    fn without_the_variables_nothing_was_passed() {
        assert!(refused(&[]).contains("LISTEN_FDS is not set"));
        assert!(refused(&[("LISTEN_PID", "4711")]).contains("LISTEN_FDS is not set"));
        assert!(refused(&[("LISTEN_FDS", "1")]).contains("LISTEN_PID is not set"));
        let none = refused(&[("LISTEN_PID", "4711"), ("LISTEN_FDS", "0")]);
        assert!(none.contains("LISTEN_FDS is 0"), "{none}");
    }

    #[test]
    fn sockets_of_another_process_are_not_taken() {
        assert_eq!(
            refused(&[("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]),
            "the sockets were passed to process 1, and this is 4711: start it with exec"
        );
    }

    #[test]
    fn malformed_values_are_named() {
        for value in ["", "x", "-1", "+1", "1 ", "4294967296"] {
            let error = refused(&[("LISTEN_PID", value), ("LISTEN_FDS", "1")]);
            assert!(
                error.starts_with(&format!("LISTEN_PID={value:?}")),
                "{error}"
            );
        }
        for value in ["", "x", "-1", "1.5", "65536", "99999999999"] {
            let error = refused(&[("LISTEN_PID", "4711"), ("LISTEN_FDS", value)]);
            assert!(
                error.starts_with(&format!("LISTEN_FDS={value:?}")),
                "{error}"
            );
        }
        for value in ["", "a", "a:b:c"] {
            let error = refused(&[
                ("LISTEN_PID", "4711"),
                ("LISTEN_FDS", "2"),
                ("LISTEN_FDNAMES", value),
            ]);
            assert!(error.contains("LISTEN_FDS=2"), "{error}");
        }
    }
}
