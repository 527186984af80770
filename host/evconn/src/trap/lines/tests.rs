use super::*;
use std::task::{Context, Poll, Waker};

const WAT: &str = "(module\n(func (export \"f\")\nunreachable)\n(func\nunreachable))";

fn with_dwarf() -> Vec<u8> {
    let binary = wat::Parser::new()
        .generate_dwarf(wat::GenerateDwarf::Full)
        .parse_str(Some("it.wat".as_ref()), WAT);
    binary.expect("it can be parsed")
}

/// The lines of all offsets, each once.
fn lines(lines: &SourceLines, end: usize) -> Vec<u64> {
    let offsets: Vec<_> = (0..end).map(Some).collect();
    let places = lines.places(&offsets).into_iter().flatten();
    let mut all: Vec<_> = places.map(|place| place.line).collect();
    all.dedup();
    all
}

#[tokio::test]
async fn they_are_read_once_on_another_thread() {
    let binary = with_dwarf();
    let source = SourceLines::of(&binary);
    {
        let mut preparing = std::pin::pin!(source.prepare());
        let mut context = Context::from_waker(Waker::noop());
        // This thread goes on meanwhile.
        let first = preparing.as_mut().poll(&mut context);
        assert_eq!(first, Poll::Pending);
        assert!(!source.are_read());
        preparing.await;
    }
    assert!(source.are_read());
    assert_eq!(lines(&source, binary.len()), [3, 5]);
    // Nothing is left to be waited for.
    let mut again = std::pin::pin!(source.prepare());
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(again.as_mut().poll(&mut context), Poll::Ready(()));
}

#[tokio::test]
async fn where_there_are_none_nothing_is_prepared() {
    SourceLines::default().prepare().await;
    assert!(lines(&SourceLines::default(), 100).is_empty());
}
