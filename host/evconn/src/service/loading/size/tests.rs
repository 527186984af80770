use super::walk::MAX_DEPTH;
use super::*;
use crate::guests;

fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("it can be parsed")
}

fn size(text: &str) -> Size {
    Size::of(&binary(text)).expect("it is not too complex")
}

fn too_complex(component: &[u8]) -> String {
    match Size::of(component) {
        Err(LoadProblem::TooComplex(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Returns a component that contains only a component, and so on.
fn nested(levels: usize) -> Vec<u8> {
    let mut component = wasm(&[]);
    for _ in 0..levels {
        let len = component.len();
        // Its length, in LEB128.
        let mut section = vec![
            4,
            len as u8 | 0x80,
            (len >> 7) as u8 | 0x80,
            (len >> 14) as u8,
        ];
        section.append(&mut component);
        component = wasm(&section);
    }
    component
}

fn wasm(sections: &[u8]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0", sections].concat()
}

/// Returns a component in which each component instantiates the previous one twice.
fn doubled(times: usize) -> String {
    let first = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    let more = (1..=times).map(|level| {
        let before = level - 1;
        format!(
            "(component $c{level}
                (instance (instantiate $c{before})) (instance (instantiate $c{before})))"
        )
    });
    let components: String = [first].into_iter().chain(more).collect();
    format!("(component {components} (instance (instantiate $c{times})))")
}

#[test]
fn what_is_instantiated_counts_each_time() {
    let size = size(
        "(component
            (component $c
                (core module $m (memory 2) (memory 1) (table 5 funcref))
                (core instance (instantiate $m)))
            (component $unused (core module $m (memory 9)))
            (instance (instantiate $c)) (instance (instantiate $c)))",
    );
    assert_eq!((size.core_instances, size.memories, size.tables), (2, 4, 2));
    assert_eq!((size.memory, size.table_elements), (6 << 16, 10));
}

#[test]
fn what_is_found_by_aliases_and_exports_counts() {
    let size = size(
        r#"(component $outer
            (core module $m (memory 1))
            (component $c
                (alias outer $outer $m (core module $m))
                (core instance (instantiate $m)))
            (export $e "c" (component $c))
            (instance (instantiate $e)))"#,
    );
    assert_eq!((size.core_instances, size.memories), (1, 1));
}

#[test]
fn components_may_be_nested_so_deep() {
    Size::of(&nested(MAX_DEPTH)).expect("deep enough");
    let why = too_complex(&nested(MAX_DEPTH + 1));
    assert_eq!(why, "its components are nested more than 100 levels deep");
    too_complex(&nested(20_000));
}

#[test]
fn there_may_be_so_many_parts() {
    let why = too_complex(&binary(&format!(
        "(component {})",
        "(core module)".repeat(1_000)
    )));
    assert_eq!(
        why,
        "it has more than 1000 components and core modules in it"
    );
}

#[test]
fn a_small_component_that_is_instantiated_millions_of_times_is_too_complex() {
    assert_eq!(size(&doubled(10)).core_instances, 1 << 10);
    for times in [20, 40, 200] {
        let why = too_complex(&binary(&doubled(times)));
        assert!(
            why.starts_with("it instantiates its components so often"),
            "{why}"
        );
    }
}

/// How often such components are instantiated in turn is unknown.
#[test]
fn what_instantiates_a_component_that_it_is_given_is_too_complex() {
    let why = too_complex(&binary(
        r#"(component
            (component $c (import "c" (component $c)) (instance (instantiate $c)))
            (component $empty)
            (instance (instantiate $c (with "c" (component $empty)))))"#,
    ));
    assert!(
        why.contains("only those that are defined in it are supported"),
        "{why}"
    );
}

#[test]
fn what_is_cut_off_is_counted_up_to_there() {
    for len in 0..guests::ECHO.len() {
        Size::of(&guests::ECHO[..len]).expect("it is not too complex");
    }
    let size = Size::of(guests::ECHO).expect("it is not too complex");
    assert_eq!(size.memories, 1);
}
