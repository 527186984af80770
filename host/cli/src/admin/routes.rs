//! The table of routes.

use hyper::Method;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Page,
    Metrics,
    Health,
    Readiness,
    Status,
    Connections,
    Log,
    Reset,
    Drain,
    Reload,
    LogLevel,
}

/// A route.
pub struct Route {
    pub verb: Verb,
    /// Its path, in which `N` stands for a number.
    path: &'static str,
    pub action: Action,
    /// Whether it is allowed on every address.
    pub is_public: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
}

const ROUTES: [Route; 11] = [
    route(Verb::Get, "/", Action::Page),
    route(Verb::Get, "/metrics", Action::Metrics).public(),
    route(Verb::Get, "/healthz", Action::Health).public(),
    route(Verb::Get, "/readyz", Action::Readiness).public(),
    route(Verb::Get, "/status", Action::Status),
    route(Verb::Get, "/connections", Action::Connections),
    route(Verb::Get, "/log", Action::Log),
    route(Verb::Post, "/connections/N/reset", Action::Reset),
    route(Verb::Post, "/drain", Action::Drain),
    route(Verb::Post, "/reload", Action::Reload),
    route(Verb::Post, "/log-level", Action::LogLevel),
];

const fn route(verb: Verb, path: &'static str, action: Action) -> Route {
    Route {
        verb,
        path,
        action,
        is_public: false,
    }
}

impl Route {
    const fn public(mut self) -> Self {
        self.is_public = true;
        self
    }

    /// Returns the number in a path of this route, which is 0 if the route has none.
    fn number_in(&self, path: &str) -> Option<u64> {
        match self.path.split_once('N') {
            None => (path == self.path).then_some(0),
            Some((before, after)) => {
                let digits = path.strip_prefix(before)?.strip_suffix(after)?;
                let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
                are_digits.then(|| digits.parse().ok()).flatten()
            }
        }
    }
}

/// Returns the route of a path, and the number in it.
pub fn find(path: &str) -> Option<(&'static Route, u64)> {
    const { &ROUTES }
        .iter()
        .find_map(|route| Some((route, route.number_in(path)?)))
}

impl Verb {
    pub fn allows(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
        }
    }

    /// Returns the methods that it allows.
    pub fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_route() {
        let found = |path| find(path).map(|(route, number)| (route.action, number));
        assert_eq!(found("/"), Some((Action::Page, 0)));
        assert_eq!(found("/metrics"), Some((Action::Metrics, 0)));
        assert_eq!(found("/connections"), Some((Action::Connections, 0)));
        assert_eq!(found("/connections/17/reset"), Some((Action::Reset, 17)));
        for path in [
            "",
            "//",
            "/metrics/",
            "/metricsx",
            "/connections/",
            "/connections/x/reset",
            "/connections//reset",
            "/connections/+1/reset",
            "/connections/99999999999999999999/reset",
            "/connections/1/2/reset",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn only_what_changes_nothing_is_public() {
        for route in &ROUTES {
            assert!(
                !route.is_public || route.verb == Verb::Get,
                "{}",
                route.path
            );
        }
    }
}
