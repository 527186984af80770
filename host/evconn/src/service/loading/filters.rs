//! Filters: components in front of a service, with which it is composed when it is loaded. A filter exports a handler, which
//! the host calls, and imports the handler of what is behind it.

use super::outline::{self, Outline};
use super::{Imports, component, contract, read};
use crate::WasiVersion;
use crate::error::{LoadError, LoadProblem, shortened};
use crate::interfaces::{ASYNC_RUN, HANDLER, handler_version};
use crate::link;
use std::path::{Path, PathBuf};
use wasmparser::{Validator, WasmFeatures};

/// The filters of a service. A connection passes the first one first.
#[derive(Default)]
pub(super) struct Filters(Vec<Filter>);

struct Filter {
    binary: Vec<u8>,
    /// What it imports besides the handler of what is behind it, and exports.
    outline: Outline,
    /// The version of both of its handlers.
    version: WasiVersion,
    /// Where it comes from, if that is a file.
    path: Option<PathBuf>,
}

impl Filters {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a filter: a component or its text.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.put(bytes, None).map_err(LoadError::of_bytes)
    }

    /// Adds a filter from a file.
    pub fn add_file(&mut self, path: &Path) -> Result<(), LoadError> {
        let added = read(path).and_then(|bytes| self.put(&bytes, Some(path)));
        added.map_err(|problem| LoadError::of_file(path, problem))
    }

    fn put(&mut self, bytes: &[u8], path: Option<&Path>) -> Result<(), LoadProblem> {
        let binary = component(bytes)?.into_owned();
        let mut outline = Outline::of_binary(&binary).ok_or_else(|| invalid(&binary))?;
        let both = filtered_versions(&outline)?;
        self.check_behind(both.iter().copied())?;
        let of_others = self.0.last().map(|last| last.version);
        let version = of_others.unwrap_or(both[0]);
        outline
            .imports
            .retain(|import| handler_version(&import.name).is_none());
        self.0.push(Filter {
            binary,
            outline,
            version,
            path: path.map(Path::to_owned),
        });
        Ok(())
    }

    /// Checks what the filters import. What an embedder provides is up to the linker.
    pub fn check_imports(&self, imports: &Imports) -> Result<(), LoadError> {
        let filters = self.0.iter().filter(|_| imports.is_empty());
        for Filter {
            outline,
            version,
            path,
            ..
        } in filters
        {
            let checked = contract::check_imports(outline, *version);
            checked.map_err(|problem| match path {
                Some(path) => LoadError::of_file(path, problem),
                None => LoadError::of_bytes(problem),
            })?;
        }
        Ok(())
    }

    /// Returns the composition of a service with its filters, or `None` if it has no filters.
    pub fn in_front_of(&self, service: &[u8]) -> Result<Option<Vec<u8>>, LoadProblem> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let exports = outline::exports(service);
        let versions: Vec<_> = versions(&exports).collect();
        if versions.is_empty() {
            return Err(match exports.iter().any(|export| is_run(export)) {
                true => LoadProblem::FilteredProgram,
                false => contract::no_entry_point(&exports),
            });
        }
        self.check_behind(versions)?;
        let mut behind: Option<Vec<u8>> = None;
        for filter in self.0.iter().rev() {
            let composed = link::link_filter(behind.as_deref().unwrap_or(service), &filter.binary)?;
            behind = Some(composed);
        }
        Ok(behind)
    }

    /// Checks that what is behind the last filter exports a handler of its version, given those of what it exports.
    fn check_behind(
        &self,
        exported: impl IntoIterator<Item = WasiVersion>,
    ) -> Result<(), LoadProblem> {
        let Some(last) = self.0.last() else {
            return Ok(());
        };
        let mut other = None;
        for version in exported {
            if version == last.version {
                return Ok(());
            }
            other = Some(version);
        }
        Err(LoadProblem::OtherVersionThanFilter {
            exported: other.unwrap_or_default().handler(),
            called: last.version.handler(),
        })
    }
}

/// Returns the versions of which a filter both imports and exports a handler, one at least. The host calls the first.
fn filtered_versions(outline: &Outline) -> Result<Vec<WasiVersion>, LoadProblem> {
    let imports: Vec<_> = outline.imports.iter().map(|import| &import.name).collect();
    let both = [WasiVersion::V0_3, WasiVersion::V0_2]
        .into_iter()
        .filter(|version| versions(&imports).any(|imported| imported == *version))
        .filter(|version| versions(&outline.exports).any(|exported| exported == *version));
    let both: Vec<_> = both.collect();
    match both.is_empty() {
        true => Err(LoadProblem::NoFilter(why_no_filter(
            &imports,
            &outline.exports,
        ))),
        false => Ok(both),
    }
}

/// Returns the versions of the handlers among these interfaces.
fn versions(names: &[impl AsRef<str>]) -> impl Iterator<Item = WasiVersion> {
    names
        .iter()
        .filter_map(|name| handler_version(name.as_ref()))
}

fn why_no_filter(imports: &[&String], exports: &[String]) -> String {
    let imported = imports.iter().find(|name| is_some_handler(name));
    let exported = exports.iter().find(|name| is_some_handler(name));
    match (imported, exported) {
        (Some(imported), Some(exported)) => format!(
            "it imports {} and exports {}",
            shortened(imported),
            shortened(exported)
        ),
        (None, Some(_)) => "it imports no handler, so that it would call nothing".to_owned(),
        (_, None) if exports.iter().any(|export| is_run(export)) => "it is a program".to_owned(),
        (_, None) => "it exports no handler".to_owned(),
    }
}

/// Returns whether this is a handler interface, in any version.
fn is_some_handler(name: &str) -> bool {
    name.split('@').next() == HANDLER.split('@').next()
}

/// Returns whether this is what a program exports, in any version.
fn is_run(name: &str) -> bool {
    name.split('@').next() == ASYNC_RUN.split('@').next()
}

/// Returns why a component is invalid.
fn invalid(binary: &[u8]) -> LoadProblem {
    let error = Validator::new_with_features(WasmFeatures::all()).validate_all(binary);
    LoadProblem::Invalid(
        error.map_or_else(|error| shortened(&error.to_string()), |_| String::new()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: &str = "evconn:tcp/handler@0.1.0";
    const ASYNC: &str = "evconn:tcp/handler@0.3.0";

    /// A component in text form that imports and exports empty interfaces.
    fn text(imports: &[&str], exports: &[&str]) -> String {
        let imports = imports
            .iter()
            .map(|name| format!(r#"(import "{name}" (instance))"#));
        let exports = exports
            .iter()
            .map(|name| format!(r#"(export "{name}" (instance $i))"#));
        let all: String = imports
            .chain(["(instance $i)".to_owned()])
            .chain(exports)
            .collect();
        format!("(component {all})")
    }

    fn refused(filters: &mut Filters, imports: &[&str], exports: &[&str]) -> String {
        let added = filters.add(text(imports, exports).as_bytes());
        added.expect_err("it is no filter").problem().to_string()
    }

    #[test]
    fn what_is_no_filter_is_told_apart() {
        let mut filters = Filters::default();
        for (imports, exports, said) in [
            (&[][..], &[ASYNC][..], "it imports no handler"),
            (&[ASYNC], &[], "it exports no handler"),
            (&[ASYNC], &["wasi:cli/run@0.3.0"], "it is a program"),
            (&[], &[], "it exports no handler"),
            (
                &[SYNC],
                &[ASYNC],
                "it imports evconn:tcp/handler@0.1.0 and exports evconn:tcp/handler@0.3.0",
            ),
            (
                &["evconn:tcp/handler@0.3.0-rc-1"],
                &["evconn:tcp/handler@0.3.0-rc-1"],
                "exports evconn:tcp/handler@0.3.0-rc-1",
            ),
        ] {
            let problem = refused(&mut filters, imports, exports);
            assert!(problem.starts_with("it is no filter: "), "{problem}");
            assert!(problem.contains(said), "{problem}");
        }
        assert!(filters.add(b"(module)").is_err() && filters.0.is_empty());
    }

    #[test]
    fn all_have_the_handler_of_one_version() {
        let mut filters = Filters::default();
        filters
            .add(text(&[ASYNC], &[ASYNC]).as_bytes())
            .expect("a filter");
        let problem = refused(&mut filters, &[SYNC], &[SYNC]);
        assert!(
            problem.contains("it exports evconn:tcp/handler@0.1.0, and the filter"),
            "{problem}"
        );
        filters
            .add(text(&[SYNC, ASYNC], &[SYNC, ASYNC]).as_bytes())
            .expect("it has both");
    }
}
