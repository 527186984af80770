//! The parameters of a request: the part of its URL after the question mark.

/// Returns the names and values. The values that there are need no escapes.
pub fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Returns what is said of a parameter that the request does not have.
pub fn unexpected(name: &str, expected: &str) -> String {
    format!("{name:?}: expected {expected}")
}

/// Returns the value of the only parameter that a request has, if it is given.
///
/// # Errors
/// If there are others.
pub fn only<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, String> {
    let mut found = None;
    for (other, value) in parameters(text) {
        if other != name {
            return Err(unexpected(other, &format!("{name}=…")));
        }
        found = Some(value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_or_none() {
        assert_eq!(only("", "worker"), Ok(None));
        assert_eq!(only("worker=3", "worker"), Ok(Some("3")));
        assert_eq!(only("worker", "worker"), Ok(Some("")));
        let problem = only("worker=3&x=1", "worker").expect_err("two");
        assert_eq!(problem, "\"x\": expected worker=…");
    }
}
