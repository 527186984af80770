//! Small components that would take hours to compile, or all of the memory, are refused at once.

use super::problems::refused;
use super::{echo_text, echo_with};
use crate::support::descriptors::unchanged;
use crate::support::host;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use evconn::{Composer, Error, Program};
use std::path::{Path, PathBuf};

/// Components in each other, without end for whoever reads them.
fn nested() -> Vec<u8> {
    let header = b"\0asm\x0d\0\x01\0";
    let mut component = header.to_vec();
    for _ in 0..10_000 {
        let len = component.len();
        let section = [
            4,
            len as u8 | 0x80,
            (len >> 7) as u8 | 0x80,
            (len >> 14) as u8,
        ];
        component = [&header[..], &section, &component].concat();
    }
    component
}

/// Each component instantiates the one before it twice: 2^40 core instances.
fn doubled() -> String {
    let more = (1..=40).map(|level| {
        let before = level - 1;
        format!(
            "(component $c{level}
                (instance (instantiate $c{before})) (instance (instantiate $c{before})))"
        )
    });
    echo_with(&format!(
        "(component $c0 (core module $m) (core instance (instantiate $m))) {}
        (instance (instantiate $c40))",
        more.collect::<String>()
    ))
}

const TOO_DEEP: &str = "it is too complex: its components are nested more than 100 levels deep";
const TOO_OFTEN: &str = "it is too complex: it instantiates its components so often that it has more than \
     100000 definitions";

#[test]
fn no_service_is_made_of_them() {
    let _open = unchanged();
    assert_eq!(refused(host(), nested()), TOO_DEEP);
    assert_eq!(refused(host(), doubled()), TOO_OFTEN);
    let error = host().precompile(&nested()).expect_err("too complex");
    assert!(error.to_string().ends_with(TOO_DEEP), "{error}");
}

#[test]
fn nor_is_a_program_or_a_composition() {
    let _open = unchanged();
    let is_too_deep = |error: Error| {
        assert!(error.to_string().ends_with(TOO_DEEP), "{error}");
    };
    is_too_deep(Program::new(host(), &nested()).err().expect("too complex"));
    is_too_deep(Composer::new().compose(&nested()).expect_err("too complex"));
    is_too_deep(Composer::new().through(&nested()).expect_err("too complex"));
}

fn written(scratch: &Scratch, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = scratch.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

fn run(command: &str, path: &Path) -> (Option<i32>, String) {
    let more: &[&str] = match command {
        "serve" => &["--listen", "127.0.0.1:0"],
        _ => &[],
    };
    let ended = Evconn::run(&[&[command, path.to_str().expect("text")], more].concat());
    (ended.status.code(), ended.stderr)
}

#[test]
fn each_command_says_so() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = written(&scratch, "nested.wasm", nested());
    for command in ["serve", "compile", "run", "compose"] {
        let (status, said) = run(command, &path);
        assert_eq!(status, Some(2), "{command}: {said}");
        let line = format!("evconn: {}: {TOO_DEEP}\n", path.display());
        assert_eq!(said, line, "{command}");
    }
}

/// A mistake in an interface is found before a compiler has seen the code.
#[test]
fn nothing_is_compiled_that_cannot_be_served() {
    let _open = unchanged();
    let import = r#"(import "wasi:http/types@0.2.0" (instance (export "f" (func))))"#;
    // Valid for who does not look into functions.
    let wrong = "(core module (func (result i32) (i64.const 1)))";
    let text = echo_text();
    let open = text.trim_end().strip_suffix(')').expect("its end");
    let problem = refused(host(), format!("{open}{import}{wrong})"));
    assert!(
        problem.starts_with("it imports what is not provided: wasi:http/types"),
        "{problem}"
    );
    let larger = "(core module $m (memory 9999)) (core instance (instantiate $m))";
    let problem = refused(host(), format!("{open}{larger}{wrong})"));
    assert!(problem.ends_with("(--max-memory)"), "{problem}");
}
