//! What the command says about itself: help, completions, man pages, tips about other commands' flags.

use crate::support::descriptors::unchanged;
use crate::support::process::{EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::tool;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

const SUBCOMMANDS: [&str; 11] = [
    "serve",
    "compile",
    "run",
    "compose",
    "top",
    "wit",
    "echo",
    "completions",
    "man",
    "check",
    "config-schema",
];

/// Runs the command as in a terminal of 80 columns.
fn in_a_terminal(arguments: &[&str]) -> Ended {
    let mut command = Command::new(EVCONN);
    command.args(arguments).stdin(Stdio::null());
    let ended = Evconn::start_by(command.env("COLUMNS", "80")).wait();
    assert_eq!(ended.stderr, "", "{arguments:?}");
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
    ended
}

/// Returns the flags in a help, with the defaults that it states.
pub fn flags(help: &str) -> BTreeMap<String, String> {
    let entries = help.split("\n      --").skip(1);
    entries
        .map(|entry| {
            // A line may end within a default.
            let words: Vec<_> = entry.split_whitespace().collect();
            let text = words.join(" ");
            let default = text.split_once("[default: ");
            let default = default.and_then(|(_, rest)| rest.split(']').next());
            let default = default.unwrap_or_default().to_owned();
            (words[0].to_owned(), default)
        })
        .collect()
}

#[test]
fn the_short_help_fits_on_a_screen_and_names_the_long_one() {
    let _open = unchanged();
    for of in [&[][..], &["serve"], &["echo"], &["run"], &["compile"]] {
        let help = in_a_terminal(&[of, &["-h"]].concat()).stdout;
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest.expect("lines") <= 80, "{help}");
        assert!(help.lines().count() <= 26, "{help}");
        let last = help.lines().last().expect("lines");
        assert!(last.contains("--help"), "{help}");
    }
    for of in SUBCOMMANDS {
        let help = in_a_terminal(&[of, "-h"]).stdout;
        assert!(help.lines().count() <= 24, "{help}");
    }
}

#[test]
fn the_short_help_has_what_most_people_use_as_the_long_one_has_it() {
    let _open = unchanged();
    let short = in_a_terminal(&["serve", "-h"]).stdout;
    let long = in_a_terminal(&["serve", "--help"]).stdout;
    let (short, long) = (flags(&short), flags(&long));
    for flag in [
        "listen",
        "max-connections",
        "max-memory",
        "idle-timeout",
        "dir",
        "env",
    ] {
        assert!(short.contains_key(flag), "{flag} in {short:?}");
    }
    assert!(short.len() < long.len() / 3, "{short:?}");
    for (flag, default) in short {
        assert_eq!(long.get(&flag), Some(&default), "{flag}");
    }
}

#[test]
fn the_long_help_has_sections_and_examples() {
    let _open = unchanged();
    let help = in_a_terminal(&["serve", "--help"]).stdout;
    for section in [
        "Listening",
        "TCP",
        "Code",
        "Instances",
        "Limits",
        "Grants",
        "Shutdown",
    ] {
        assert!(
            help.contains(&format!("\n{section}:\n")),
            "{section}: {help}"
        );
    }
    for of in SUBCOMMANDS {
        let help = in_a_terminal(&[of, "--help"]).stdout;
        let examples = help.split("\nExamples:\n").nth(1).expect("examples");
        assert!(examples.contains(&format!("    evconn {of}")), "{help}");
    }
}

/// bash defines the completions, and completes the words.
fn completed_by_bash(script: &Path, words: &str) -> Option<Vec<String>> {
    let ask = r#"source "$0" && COMP_WORDS=("$@") && COMP_CWORD=$(($# - 1)) &&
        _evconn evconn "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["-c", ask]).arg(script).args(words.split(' '));
    let output = tool::run(&mut bash, b"")?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words}");
    let text = String::from_utf8(output.stdout).expect("text");
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_subcommands_flags_and_values() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let script = scratch.join("evconn.bash");
    std::fs::write(&script, Evconn::run(&["completions", "bash"]).stdout).expect("written");
    for (words, expected) in [
        ("evconn se", &["serve"][..]),
        (
            "evconn serve --max-connections",
            &["--max-connections", "--max-connections-per-peer"],
        ),
        ("evconn serve --entry-point r", &["run"]),
        ("evconn completions f", &["fish"]),
        // What the help does not show.
        ("evconn load", &[""]),
        ("evconn run --wasi", &[""]),
    ] {
        let Some(completed) = completed_by_bash(&script, words) else {
            return;
        };
        assert_eq!(completed, expected, "{words}");
    }
}

#[test]
fn each_shell_reads_its_completions() {
    let _open = unchanged();
    for (shell, check) in [
        ("bash", &["bash", "-n"][..]),
        ("zsh", &["zsh", "-n"]),
        ("fish", &["fish", "--no-execute"]),
    ] {
        let scratch = Scratch::new();
        let script = scratch.join("completions");
        let printed = Evconn::run(&["completions", shell]);
        assert_eq!(printed.status.code(), Some(0), "{}", printed.stderr);
        assert!(printed.stdout.contains("max-connections"), "{shell}");
        assert!(!printed.stdout.contains("loader"), "{shell}");
        std::fs::write(&script, printed.stdout).expect("written");
        let mut command = Command::new(check[0]);
        if let Some(output) = tool::run(command.args(&check[1..]).arg(script), b"") {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{shell}: {said}");
        }
    }
    let powershell = Evconn::run(&["completions", "powershell"]).stdout;
    assert!(powershell.starts_with("\nusing namespace"), "{powershell}");
    assert!(powershell.contains("'--max-connections'"), "{powershell}");
}

/// Renders a page with a command, if it is installed. It says nothing about the page.
fn renders(page: &Path, command: &[&str]) {
    let mut process = Command::new(command[0]);
    process.args(&command[1..]).arg(page);
    if let Some(output) = tool::run(&mut process, b"") {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} {page:?}: {said}");
        assert_eq!(said, "", "{command:?} {page:?}");
    }
}

#[test]
fn man_pages_render_without_a_warning() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let directory = scratch.join("share/man1");
    let path = directory.to_str().expect("text");
    // Again, in the place of those that are there.
    for _ in 0..2 {
        let ended = Evconn::run(&["man", path]);
        assert_eq!(ended.stdout, "");
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
    let page = |name: &str| directory.join(name);
    let mut pages = vec![page("evconn.1")];
    pages.extend(SUBCOMMANDS.map(|of| page(&format!("evconn-{of}.1"))));
    let entries = std::fs::read_dir(&directory).expect("a directory");
    assert_eq!(entries.count(), pages.len());
    for page in &pages {
        renders(page, &["groff", "-ww", "-man", "-Tutf8"]);
        renders(page, &["mandoc", "-T", "lint", "-W", "error"]);
    }
    let serve = std::fs::read_to_string(page("evconn-serve.1")).expect("a page");
    assert!(serve.contains(r"\-\-max\-connections"), "{serve}");
    assert!(serve.contains(".SH EXAMPLES"), "{serve}");
    let printed = Evconn::run(&["man"]).stdout;
    assert_eq!(printed.matches("\n.TH ").count(), pages.len());
    assert!(printed.contains(&serve), "{printed}");
}

#[test]
fn man_pages_are_not_written_to_a_file() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let file = scratch.join("man1");
    std::fs::write(&file, "mine").expect("written");
    let ended = Evconn::run(&["man", file.to_str().expect("text")]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("not a directory"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "mine");
    assert_eq!(scratch.contents(), ["man1"]);
}

#[test]
fn a_flag_that_is_mistyped_or_another_command_s_leads_to_the_right_one() {
    let _open = unchanged();
    for (arguments, tip) in [
        (
            &["serve", "a.wasm", "--max-conections", "5"][..],
            "--max-connections",
        ),
        (&["run", "--max-memmory", "5", "a.wasm"], "--max-memory"),
        (&["serve", "a.wasm", "--port", "80"], "use --listen :PORT"),
        (&["serve", "a.wasm", ":80"], "use --listen :80"),
        (&["serve", "a.wasm", "--threads=4"], "--processes N"),
        (&["serve", "a.wasm", "--http"], "`wasmtime serve`"),
        (&["sevre", "a.wasm"], "'serve'"),
        (&["a.wasm"], "evconn serve a.wasm --listen"),
    ] {
        let ended = Evconn::run(arguments);
        assert_eq!(
            ended.status.code(),
            Some(2),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{arguments:?}");
        let tips: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| line.contains("tip: "))
            .collect();
        assert_eq!(tips.len(), 1, "{}", ended.stderr);
        assert!(tips[0].contains(tip), "{arguments:?}: {}", ended.stderr);
    }
}
