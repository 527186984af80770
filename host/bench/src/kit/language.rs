//! Services in other languages, built as their pages say, if the tools are installed.

use super::run;
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    JavaScript,
}

/// An example, and the page about it. The first two blocks of commands there install the tool and build
/// the service.
struct Page {
    text: &'static str,
    /// The file with the service, by its name.
    source: (&'static str, &'static str),
    component: &'static str,
    tool: &'static str,
}

const PYTHON: Page = Page {
    text: include_str!("../../../../guest/examples/python/README.md"),
    source: (
        "calculator.py",
        include_str!("../../../../guest/examples/python/calculator.py"),
    ),
    component: "calculator.wasm",
    tool: "componentize-py",
};

const JAVASCRIPT: Page = Page {
    text: include_str!("../../../../guest/examples/javascript/README.md"),
    source: (
        "statistics.js",
        include_str!("../../../../guest/examples/javascript/statistics.js"),
    ),
    component: "statistics.wasm",
    tool: "jco",
};

/// A service that was built.
pub struct Service {
    pub component: PathBuf,
    /// The tool that has built it, and its version.
    pub tool: String,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::Python, Self::JavaScript];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
        }
    }

    /// Returns a line for the service, and its answer.
    pub const fn dialogue(self) -> (&'static str, &'static str) {
        match self {
            Self::Python => ("2 3 +\n", "5\n"),
            Self::JavaScript => ("[1, 2, 3]\n", "{\"count\":3,\"sum\":6,\"mean\":2}\n"),
        }
    }

    const fn page(self) -> Page {
        match self {
            Self::Python => PYTHON,
            Self::JavaScript => JAVASCRIPT,
        }
    }

    /// Builds the service, or returns what is missing for that.
    pub fn build(self, evconn: &Path, directory: &Path) -> Result<Result<Service, String>> {
        let page = self.page();
        let tool = match page.tool()? {
            Ok(tool) => tool,
            Err(missing) => return Ok(Err(missing)),
        };
        let directory = directory.join(self.name());
        page.build(evconn, &directory)
            .with_context(|| format!("the service in {}", self.name()))?;
        Ok(Ok(Service {
            component: directory.join(HERE).join(page.component),
            tool,
        }))
    }
}

/// Where the commands are run, and where their temporary files are: jco cannot build in a directory that
/// contains the latter.
const HERE: &str = "here";
const TEMPORARY: &str = "temporary";

/// The directory with the command `evconn`, whatever the name of the measured one.
const PROGRAMS: &str = "programs";

impl Page {
    /// Returns the tool and its version, if it is the one that the page has.
    fn tool(&self) -> Result<Result<String, String>> {
        let wanted = self.version()?;
        let tool = self.tool;
        Ok(match run(Command::new(tool).arg("--version")) {
            Ok(Ok(said)) => match said.split_whitespace().last() {
                Some(here) if here == wanted => Ok(format!("{tool} {here}")),
                here => Err(format!(
                    "{tool} is of version {}, not {wanted}",
                    here.unwrap_or("?")
                )),
            },
            Ok(Err(missing)) => Err(missing),
            Err(error) => Err(format!("{tool} does not run: {error:#}")),
        })
    }

    /// Returns the version that the page has.
    fn version(&self) -> Result<&'static str> {
        let install = self.block(0)?.trim();
        let version = install.rsplit(['=', '@']).next();
        version.context("no version on the page")
    }

    /// Returns the commands that build the service.
    fn commands(&self) -> Result<String> {
        let lines = self.block(1)?.lines();
        let commands: Vec<&str> = lines.filter_map(|line| line.strip_prefix("$ ")).collect();
        Ok(commands.join("\n"))
    }

    fn build(&self, evconn: &Path, directory: &Path) -> Result<()> {
        for name in [HERE, TEMPORARY, PROGRAMS] {
            fs::create_dir_all(directory.join(name))?;
        }
        symlink(evconn, directory.join(PROGRAMS).join("evconn"))?;
        let (name, source) = self.source;
        fs::write(directory.join(HERE).join(name), source)?;
        let commands = self.commands()?;
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-c", &commands])
            .current_dir(directory.join(HERE))
            .env("PATH", search_path(&directory.join(PROGRAMS)))
            .env("TMPDIR", directory.join(TEMPORARY));
        let output = shell.output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{commands}: {errors}");
        Ok(())
    }

    /// Returns a block of commands.
    fn block(&self, number: usize) -> Result<&'static str> {
        let block = self.text.split("```console\n").nth(number + 1);
        let block = block.and_then(|rest| rest.split("```").next());
        block.with_context(|| format!("no block {number} on the page of {}", self.tool))
    }
}

/// Returns the search path with this directory before all others.
fn search_path(first: &Path) -> OsString {
    let mut path = first.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn the_pages_have_a_version_and_the_commands_that_build_the_service() {
        for page in Language::ALL.map(Language::page) {
            let version = page.version().expect("a version");
            let is_number = |part: &str| part.parse::<u32>().is_ok();
            assert!(version.split('.').all(is_number), "{version}");
            let commands = page.commands().expect("commands");
            let (interface, build) = commands.split_once('\n').expect("two commands");
            assert!(interface.starts_with("evconn wit "), "{interface}");
            assert!(build.starts_with(page.tool), "{build}");
            assert!(build.ends_with(page.component), "{build}");
        }
    }
}
