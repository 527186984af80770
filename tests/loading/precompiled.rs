//! Code that was compiled ahead of time.

use super::echoes;
use crate::support::descriptors::unchanged;
use crate::support::host;
use crate::support::scratch::Scratch;
use evconn::{Error, LoadError, LoadProblem, Service, guests};
use wasmtime::{Config, Engine, ModuleVersionStrategy};

fn problem<T>(loaded: Result<T, Error>) -> LoadError {
    match loaded {
        Err(Error::Load(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was loaded"),
    }
}

/// What another engine makes of the echo service.
fn compiled_by(configure: impl FnOnce(&mut Config)) -> Vec<u8> {
    let mut config = Config::new();
    configure(&mut config);
    let engine = Engine::new(&config).expect("an engine");
    engine.precompile_component(guests::ECHO).expect("compiled")
}

fn trusted(code: &[u8]) -> Result<Service, Error> {
    // SAFETY: it was compiled a moment ago, and not changed.
    unsafe { Service::from_precompiled(host(), code) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_code_is_served() {
    let _open = unchanged();
    let code = host().precompile(guests::ECHO).expect("compiled");
    echoes(trusted(&code).expect("a service")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_file_may_be_written_over_while_it_is_served() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("app.cwasm");
    std::fs::write(&path, host().precompile(guests::ECHO).expect("compiled")).expect("written");
    // SAFETY: as above.
    let service = unsafe { Service::from_precompiled_file(host(), &path) }.expect("a service");
    std::fs::write(&path, vec![0; 1 << 20]).expect("written over");
    echoes(service).await;
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let _open = unchanged();
    let scratch = Scratch::new();
    let path = scratch.join("app.cwasm");
    std::fs::write(&path, host().precompile(guests::ECHO).expect("compiled")).expect("written");
    for (mode, is_refused) in [(0o666, true), (0o664, true), (0o644, false)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("its mode");
        // SAFETY: as above.
        let loaded = unsafe { Service::from_precompiled_file(host(), &path) };
        match is_refused {
            false => drop(loaded.expect("a service")),
            true => {
                let error = problem(loaded).to_string();
                assert!(error.contains("other users can write to it"), "{error}");
                assert!(error.contains("chmod go-w"), "{error}");
            }
        }
    }
    // A component is checked when it is compiled, whoever has written it.
    std::fs::write(&path, guests::ECHO).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("its mode");
    // SAFETY: as above.
    drop(unsafe { Service::from_precompiled_file(host(), &path) }.expect("a service"));
}

#[test]
fn it_is_refused_where_a_component_is_expected() {
    let _open = unchanged();
    let code = host().precompile(guests::ECHO).expect("compiled");
    let scratch = Scratch::new();
    let path = scratch.join("app.wasm");
    std::fs::write(&path, &code).expect("written");
    for error in [
        problem(Service::new(host(), &code)),
        problem(Service::from_file(host(), &path)),
        problem(host().precompile(&code)),
        problem(host().precompile_file(&path)),
    ] {
        assert!(
            matches!(error.problem(), LoadProblem::Precompiled),
            "{error}"
        );
        assert!(error.to_string().contains("--allow-precompiled"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_taken_where_compiled_code_is_expected() {
    let _open = unchanged();
    echoes(trusted(guests::ECHO).expect("a service")).await;
    let error = problem(trusted(guests::LISTENER));
    assert!(
        matches!(error.problem(), LoadProblem::NoHandler(_)),
        "{error}"
    );
}

#[test]
fn code_for_another_host_is_refused() {
    let _open = unchanged();
    let other_version = compiled_by(|config| {
        let version = ModuleVersionStrategy::Custom("47.0.0".to_owned());
        config.module_version(version).expect("a short version");
    });
    let other_settings = compiled_by(|config| {
        config.epoch_interruption(true).memory_reservation(1 << 20);
        config.concurrency_support(false);
    });
    for (code, reason) in [
        (other_version, "47.0.0"),
        (other_settings, "memory reservation"),
    ] {
        let error = problem(trusted(&code)).to_string();
        assert!(
            error.contains("it was not compiled for this host"),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("`evconn compile`"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_compiled_core_module_is_refused() {
    let _open = unchanged();
    let engine = Engine::default();
    let code = engine
        .precompile_module(b"\0asm\x01\0\0\0")
        .expect("compiled");
    for error in [
        problem(Service::new(host(), &code)),
        problem(trusted(&code)),
    ] {
        assert!(
            matches!(error.problem(), LoadProblem::PrecompiledModule),
            "{error}"
        );
    }
}

#[test]
fn code_that_is_cut_off_is_refused() {
    let _open = unchanged();
    let code = host().precompile(guests::ECHO).expect("compiled");
    let error = problem(Service::new(host(), &code[..code.len() / 2]));
    let what = "nor code that evconn compiled (or not all of it)";
    assert!(error.to_string().ends_with(what), "{error}");
}

#[test]
fn what_is_no_service_is_not_compiled() {
    let _open = unchanged();
    let error = problem(host().precompile(guests::LISTENER));
    assert!(
        matches!(error.problem(), LoadProblem::NoHandler(_)),
        "{error}"
    );
}
