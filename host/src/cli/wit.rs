//! `evconn wit`: the contract, for the binding generators of other languages.

use super::BAD_INPUT;
use anyhow::{Context, ensure};
use clap::Args;
use evconn::guests::WIT;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the WIT package evconn:tcp, or write it into a directory with the packages of WASI that it
/// needs: what binding generators take.
#[derive(Args)]
pub struct Wit {
    /// The directory to write to, which is made: `wit`, for instance.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Wit {
    pub fn run(&self) -> ExitCode {
        let result = match &self.output {
            Some(directory) => write(directory),
            None => {
                print();
                Ok(())
            }
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("evconn: {error:#}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }
}

/// As one document: the file with the package's name comes first.
fn print() {
    let own = WIT.iter().filter(|(path, _)| !path.contains('/'));
    let (first, rest): (Vec<_>, Vec<_>) = own.partition(|(_, text)| text.starts_with("package "));
    for (path, text) in first.into_iter().chain(rest) {
        println!("// {path}\n{text}");
    }
}

fn write(directory: &Path) -> anyhow::Result<()> {
    let is_empty = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    ensure!(
        is_empty,
        "{}: it is there, and not an empty directory: name another one",
        directory.display()
    );
    for (path, text) in WIT {
        let file = directory.join(path);
        file.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
