//! Measures what a guest can do in a single step that nothing interrupts: a time slice ends at the next loop, call or
//! return of its code, and some instructions take longer than a slice. The table is in docs/limits.md.
//!
//! `cargo run --release -p evconn --example longest [MAX_MEMORY_IN_MIB]`

use std::time::{Duration, Instant};
use wasmtime::{
    Config, Enabled, Engine, Instance, InstanceAllocationStrategy, Module, PoolingAllocationConfig,
    Result, Store,
};

const MIB: usize = 1 << 20;

/// What services have by default, as far as it concerns the time that something takes.
const MAX_MEMORY: usize = 64;
const TABLE_ELEMENTS: usize = 20_000;
const KEPT_RESIDENT: usize = 128 << 10;

/// How often each is measured. The longest counts.
const TIMES: usize = 5;

fn main() -> Result<()> {
    let most = std::env::args().nth(1).map(|mib| mib.parse()).transpose()?;
    let most = most.unwrap_or(MAX_MEMORY);
    println!("| step of a guest | longest of {TIMES} |\n| --- | --- |");
    let engine = engine()?;
    memory(&engine, most)?;
    tables(&engine)?;
    functions(&engine)?;
    life(&engine, most)
}

fn engine() -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(10)
        .total_memories(10)
        .total_tables(10)
        .max_tables_per_module(2)
        .max_memory_size(4 << 30)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEPT_RESIDENT)
        .table_keep_resident(KEPT_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

fn module(engine: &Engine, text: &str) -> Result<Module> {
    Module::new(engine, wat::parse_str(text).map_err(std::io::Error::other)?)
}

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(engine: &Engine, module: &Module) -> Result<Self> {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, module, &[])?;
        Ok(Self { store, instance })
    }

    /// Calls a function, and returns how long that has taken.
    fn call(&mut self, name: &str) -> Result<Duration> {
        let function = self
            .instance
            .get_typed_func::<(), ()>(&mut self.store, name)?;
        let begun = Instant::now();
        // Some end in a trap.
        let _ = function.call(&mut self.store, ());
        Ok(begun.elapsed())
    }
}

fn row(what: &str, times: impl IntoIterator<Item = Duration>) {
    let longest = times.into_iter().max().unwrap_or_default();
    println!("| {what} | {:.2} ms |", longest.as_secs_f64() * 1e3);
}

/// Measures a function in fresh instances, after another one was called.
fn measure(
    engine: &Engine,
    module: &Module,
    before: Option<&str>,
    name: &str,
) -> Result<Vec<Duration>> {
    let once = || {
        let mut guest = Guest::new(engine, module)?;
        before.map(|name| guest.call(name)).transpose()?;
        guest.call(name)
    };
    (0..TIMES).map(|_| once()).collect()
}

fn memory(engine: &Engine, most: usize) -> Result<()> {
    for mib in [1, 8, most] {
        let (pages, bytes, half) = (mib * 16, mib * MIB, mib * MIB / 2);
        let guest_module = module(
            engine,
            &format!(
                r#"(module (memory {pages})
                (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const {bytes})))
                (func (export "copy") (memory.copy (i32.const 0) (i32.const {half}) (i32.const {half}))))"#
            ),
        )?;
        let first = measure(engine, &guest_module, None, "fill")?;
        row(
            &format!("`memory.fill` of {mib} MiB, touched for the first time"),
            first,
        );
        let warm = measure(engine, &guest_module, Some("fill"), "fill")?;
        row(&format!("`memory.fill` of {mib} MiB, touched before"), warm);
        let copy = measure(engine, &guest_module, Some("fill"), "copy")?;
        row(&format!("`memory.copy` of {} MiB", mib as f64 / 2.0), copy);
    }
    let segment = "x".repeat(8 * MIB);
    let init = format!(
        r#"(module (memory 128) (data $d "{segment}")
        (func (export "init") (memory.init $d (i32.const 0) (i32.const 0) (i32.const {}))))"#,
        8 * MIB
    );
    let init = measure(engine, &module(engine, &init)?, None, "init")?;
    row("`memory.init` of 8 MiB", init);
    let pages = most * 16;
    let grow = format!(
        r#"(module (memory 0) (func (export "grow") (drop (memory.grow (i32.const {pages})))))"#
    );
    let grow = measure(engine, &module(engine, &grow)?, None, "grow")?;
    row(&format!("`memory.grow` by {most} MiB"), grow);
    Ok(())
}

fn tables(engine: &Engine) -> Result<()> {
    let (most, half) = (TABLE_ELEMENTS, TABLE_ELEMENTS / 2);
    let functions = "$f ".repeat(most);
    let guest_module = module(
        engine,
        &format!(
            r#"(module (table $t {most} funcref) (table $small 0 funcref) (elem $e func {functions}) (func $f)
            (func (export "grow") (drop (table.grow $small (ref.func $f) (i32.const {most}))))
            (func (export "fill") (table.fill $t (i32.const 0) (ref.func $f) (i32.const {most})))
            (func (export "copy") (table.copy $t $t (i32.const 0) (i32.const {half}) (i32.const {half})))
            (func (export "init") (table.init $t $e (i32.const 0) (i32.const 0) (i32.const {most}))))"#
        ),
    )?;
    for name in ["grow", "fill", "copy", "init"] {
        let times = measure(engine, &guest_module, None, name)?;
        row(&format!("`table.{name}` of {most} elements"), times);
    }
    Ok(())
}

fn functions(engine: &Engine) -> Result<()> {
    const INSTRUCTIONS: usize = 1_000_000;
    // What is read from globals and written to them cannot be computed by the compiler.
    for (what, type_, value, operation) in [
        ("multiplications", "i32", "i32.const 3", "i32.mul"),
        ("divisions", "i64", "i64.const 3", "i64.div_u"),
        (
            "vector divisions and roots",
            "v128",
            "v128.const f64x2 3 7",
            "f64x2.div f64x2.sqrt",
        ),
    ] {
        let step = format!("local.get 0 local.get 1 {operation} local.set 0 ");
        let code = step.repeat(INSTRUCTIONS / step.matches('.').count());
        let text = format!(
            r#"(module (global $g (mut {type_}) ({value})) (func (export "f") (local {type_} {type_})
            (local.set 0 (global.get $g)) (local.set 1 (global.get $g)) {code} (global.set $g (local.get 0))))"#
        );
        let times = measure(engine, &module(engine, &text)?, None, "f")?;
        let what = format!("a function of {INSTRUCTIONS} instructions without a loop: {what}");
        row(&what, times);
    }
    let recursion = r#"(module (func $f (export "f") (call $f)))"#;
    let times = measure(engine, &module(engine, recursion)?, None, "f")?;
    row(
        "an endless recursion, with its trap (its calls can be interrupted)",
        times,
    );
    Ok(())
}

fn life(engine: &Engine, most: usize) -> Result<()> {
    let image = "x".repeat(8 * MIB);
    let (pages, bytes) = (most * 16, most * MIB);
    let guest_module = module(
        engine,
        &format!(
            r#"(module (memory {pages}) (data (i32.const 0) "{image}")
            (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const {bytes}))))"#
        ),
    )?;
    let mut made = Vec::new();
    let mut dropped = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let mut guest = Guest::new(engine, &guest_module)?;
        made.push(begun.elapsed());
        guest.call("fill")?;
        let begun = Instant::now();
        drop(guest);
        dropped.push(begun.elapsed());
    }
    row("making an instance with 8 MiB of data", made);
    row(
        &format!("ending an instance that has touched {most} MiB"),
        dropped,
    );
    Ok(())
}
