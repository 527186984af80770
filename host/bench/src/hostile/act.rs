//! What hostile connections do.

/// An act of the test program `hostile`: its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    pub name: &'static str,
    pub about: &'static str,
    /// The line that begins it.
    pub line: &'static str,
}

const fn act(name: &'static str, line: &'static str, about: &'static str) -> Act {
    Act { name, about, line }
}

impl Act {
    pub const ALL: &[Self] = &[
        act(
            "echo",
            "echo",
            "nothing hostile: as many more polite connections that send nothing",
        ),
        act("spin", "spin", "an endless loop"),
        act(
            "compute-1",
            "compute 1 1",
            "computes for 1 ms, sleeps for 1 ns, for ever",
        ),
        act(
            "compute-9",
            "compute 9 1",
            "computes for 9 ms, sleeps for 1 ns, for ever",
        ),
        act("fill", "fill 32", "memory.fill of 32 MiB, for ever"),
        act(
            "copy",
            "copy 32",
            "memory.copy of 16 MiB within 32, for ever",
        ),
        act(
            "grow",
            "grow",
            "memory.grow by a page at a time to the limit, and again in another instance",
        ),
        act("recurse", "recurse", "recursion until the stack is full"),
        act("sleep", "sleep", "sleeps for ever"),
    ];

    pub fn of(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|act| act.name == name);
        found
            .copied()
            .ok_or_else(|| "there is no such act; --list names all".to_owned())
    }
}
