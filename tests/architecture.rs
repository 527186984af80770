//! The architecture: in each crate, modules use only modules below them. `ARCHITECTURE.md` describes
//! each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose rooms are checked.
const CRATES: [&str; 8] = [
    "guest/async-listener/src",
    "guest/listener/src",
    "guest/listener/state/src",
    "guest/sdk/src",
    "host/bench/src",
    "host/cli/src",
    "host/evconn/src",
    "host/sockets/src",
];

/// The path of a module: empty for the root of its crate.
type Module = Vec<String>;

/// Which rooms a room uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

struct Source {
    module: Module,
    text: String,
}

struct Crate {
    sources: Vec<Source>,
    /// Names that a module re-exports from below it, and the child that each comes from.
    exports: BTreeMap<(Module, String), String>,
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut sources = Vec::new();
        read_folder(root, &Module::new(), &mut sources);
        let exports = sources.iter().flat_map(exports).collect();
        Self { sources, exports }
    }

    /// The children of a module that are rooms: of the crate's root all, of others the folders.
    fn rooms(&self, parent: &[String]) -> BTreeSet<String> {
        let is_below = |source: &&Source| {
            source.module.len() > parent.len() && source.module.starts_with(parent)
        };
        let below: Vec<_> = self.sources.iter().filter(is_below).collect();
        let is_folder = |name: &str| {
            below.iter().any(|source| {
                source.module.len() > parent.len() + 1 && source.module[parent.len()] == name
            })
        };
        let names = below
            .iter()
            .map(|source| source.module[parent.len()].clone());
        names
            .filter(|name| parent.is_empty() || is_folder(name))
            .collect()
    }

    /// What the rooms in a module use of each other.
    fn uses(&self, parent: &[String]) -> Uses {
        let rooms = self.rooms(parent);
        let mut uses = Uses::new();
        for source in self
            .sources
            .iter()
            .filter(|source| source.module.starts_with(parent))
        {
            let Some(room) = source
                .module
                .get(parent.len())
                .filter(|room| rooms.contains(*room))
            else {
                continue;
            };
            for path in paths(source) {
                let path = self.resolved(path);
                if let Some(used) = path.strip_prefix(parent).and_then(<[String]>::first)
                    && used != room
                    && rooms.contains(used)
                {
                    uses.entry(room.clone()).or_default().insert(used.clone());
                }
            }
        }
        uses
    }

    /// The path of what is meant: a name may be re-exported by a module above.
    fn resolved(&self, path: Module) -> Module {
        let mut resolved = Module::new();
        for name in path {
            while let Some(child) = self.exports.get(&(resolved.clone(), name.clone()))
                && *child != name
            {
                resolved.push(child.clone());
            }
            resolved.push(name);
        }
        resolved
    }
}

fn read_folder(folder: &Path, module: &Module, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let child = [module.clone(), vec![name.to_owned()]].concat();
        if path.is_dir() {
            read_folder(&path, &child, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let is_root = matches!(name, "mod" | "lib" | "main");
            sources.push(Source {
                module: if is_root { module.clone() } else { child },
                text: code(&fs::read_to_string(&path).expect("a source")),
            });
        }
    }
}

/// A file without its comments and its tests.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let end = text.find("mod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The children that a module re-exports names of.
fn exports(source: &Source) -> Vec<((Module, String), String)> {
    let uses = statements(&source.text)
        .into_iter()
        .filter(|(is_public, _)| *is_public);
    let relative = uses.filter_map(|(_, path)| {
        let path: Vec<_> = path.into_iter().skip_while(|name| name == "self").collect();
        let (child, name) = (path.first()?.clone(), path.last()?.clone());
        (path.len() > 1 && child != "crate" && child != "super")
            .then(|| ((source.module.clone(), name), child))
    });
    relative.collect()
}

/// The absolute paths within the crate that a file names.
fn paths(source: &Source) -> Vec<Module> {
    let absolute = |path: Vec<String>| -> Option<Module> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "super" => {
                let above = source.module.len().checked_sub(supers)?;
                Some([&source.module[..above], &path[supers..]].concat())
            }
            _ => None,
        }
    };
    let used = statements(&source.text).into_iter().map(|(_, path)| path);
    used.chain(inline(&source.text))
        .filter_map(absolute)
        .collect()
}

/// The paths of `use` statements, groups expanded; and whether each is re-exported.
fn statements(text: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for statement in text.split(';') {
        let Some(start) = statement.rfind("use ") else {
            continue;
        };
        let before = statement[..start].trim_end();
        let is_public = before.ends_with("pub") || before.ends_with(')') && before.contains("pub(");
        let tree: String = statement[start + 4..]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let mut paths = Vec::new();
        expand(&tree, &[], &mut paths);
        found.extend(paths.into_iter().map(|path| (is_public, path)));
    }
    found
}

/// Expands `a::{b, c::{d, e}}` below a path.
fn expand(tree: &str, above: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some((path, group)) = tree.split_once('{') {
        let above = [above, &names(path)].concat();
        let group = group.strip_suffix('}').unwrap_or(group);
        let (mut depth, mut start) = (0, 0);
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&group[start..index], &above, paths);
                    start = index + 1;
                }
                _ => {}
            }
        }
        expand(&group[start..], &above, paths);
    } else if !tree.is_empty() {
        let tree = tree.split(" as ").next().unwrap_or(tree);
        paths.push([above, &names(tree)].concat());
    }
}

fn names(path: &str) -> Vec<String> {
    let names = path
        .split("::")
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The paths in the code itself, outside `use` statements.
fn inline(text: &str) -> Vec<Vec<String>> {
    let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let words = text.split(|character: char| !is_path(character));
    let paths = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
    paths.map(names).collect()
}

/// Some rooms that use each other in a circle.
fn cycle(uses: &Uses) -> Option<Vec<String>> {
    fn visit(room: &str, uses: &Uses, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        if let Some(start) = way.iter().position(|other| other == room) {
            way.drain(..start);
            return true;
        }
        if !done.insert(room.to_owned()) {
            return false;
        }
        way.push(room.to_owned());
        let used = uses.get(room).into_iter().flatten();
        let is_cycle = used.into_iter().any(|used| visit(used, uses, way, done));
        if !is_cycle {
            way.pop();
        }
        is_cycle
    }
    let mut done = BTreeSet::new();
    uses.keys().find_map(|room| {
        let mut way = Vec::new();
        visit(room, uses, &mut way, &mut done).then_some(way)
    })
}

fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the workspace")
}

#[test]
fn no_rooms_use_each_other_in_a_circle() {
    let _open = crate::support::descriptors::unchanged();
    let mut cycles = Vec::new();
    for root in CRATES {
        let sources = Crate::read(&workspace().join(root));
        let modules: BTreeSet<_> = sources
            .sources
            .iter()
            .map(|source| source.module.clone())
            .collect();
        for module in modules {
            let uses = sources.uses(&module);
            cycles.extend(
                cycle(&uses)
                    .map(|rooms| format!("{root} {}: {}", module.join("/"), rooms.join(" → "))),
            );
        }
    }
    assert!(cycles.is_empty(), "{cycles:#?}");
}

/// The check finds what it is for, in each form that a path can have.
#[test]
fn a_circle_is_found() {
    let _open = crate::support::descriptors::unchanged();
    let source = |module: &[&str], text: &str| Source {
        module: module.iter().map(|&name| name.to_owned()).collect(),
        text: code(text),
    };
    let found = |sources: Vec<Source>| {
        let exports = sources.iter().flat_map(exports).collect();
        cycle(&Crate { sources, exports }.uses(&[]))
    };
    let root = || source(&[], "mod a;\nmod b;\npub use b::{Inner, Thing};\n");
    let uses_b = [
        "use crate::b::Thing;",
        "use crate::{Thing, Unknown};",
        "use crate::{b::{Inner as Other}};",
        "use super::b;",
        "fn f() { crate::b::thing() }",
    ];
    for text in uses_b {
        let sources = vec![
            root(),
            source(&["a"], text),
            source(&["b", "c"], "use super::super::a::Thing;"),
        ];
        assert_eq!(
            found(sources),
            Some(vec!["a".to_owned(), "b".to_owned()]),
            "{text}"
        );
        let sources = vec![
            root(),
            source(&["a"], text),
            source(&["b", "c"], "// use crate::a;"),
        ];
        assert_eq!(found(sources), None, "{text}");
    }
}
