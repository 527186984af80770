//! Files, in the directories that it is granted.

use crate::bindings::wasi::filesystem::preopens::get_directories;
use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use crate::bindings::wit_stream;
use wit_bindgen_async::{StreamReader, StreamResult};

/// How much is read at a time.
const AT_A_TIME: usize = 16 << 10;

/// Returns a directory that was granted, and the rest of a path in it.
fn granted(path: &str) -> Option<(Descriptor, String)> {
    get_directories().into_iter().find_map(|(directory, name)| {
        let rest = path.strip_prefix(&name)?.trim_start_matches('/');
        Some((directory, rest.to_owned()))
    })
}

async fn open(path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, ErrorCode> {
    let (directory, rest) = granted(path).ok_or(ErrorCode::NoEntry)?;
    let rest = if rest.is_empty() {
        ".".to_owned()
    } else {
        rest
    };
    let follow = PathFlags::SYMLINK_FOLLOW;
    directory.open_at(follow, rest, how, flags).await
}

pub async fn exists(path: &str) -> bool {
    open(path, OpenFlags::empty(), DescriptorFlags::READ)
        .await
        .is_ok()
}

fn shown<T: ToString>(result: Result<T, ErrorCode>) -> String {
    match result {
        Ok(what) => what.to_string(),
        Err(code) => format!("{code:?}"),
    }
}

/// What is in a file.
pub async fn content(path: &str) -> String {
    shown(read(path).await)
}

async fn read(path: &str) -> Result<String, ErrorCode> {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
    let (stream, ended) = file.read_via_stream(0);
    let bytes = all(stream).await;
    ended.await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn all<T: Send + 'static>(mut stream: StreamReader<T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let (result, some) = stream.read(Vec::with_capacity(AT_A_TIME)).await;
        all.extend(some);
        if !matches!(result, StreamResult::Complete(_)) {
            return all;
        }
    }
}

/// Writes a number to a file, and appends another one.
pub async fn store(path: &str, number: usize) -> String {
    shown(write(path, number).await.map(|()| "stored"))
}

async fn write(path: &str, number: usize) -> Result<(), ErrorCode> {
    let how = OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let file = open(path, how, DescriptorFlags::WRITE).await?;
    let (mut writer, data) = wit_stream::new();
    let written = file.write_via_stream(data, 0);
    writer.write_all(format!("{number}").into_bytes()).await;
    writer.write_all(b" and ".to_vec()).await;
    drop(writer);
    written.await?;
    let (mut writer, data) = wit_stream::new();
    let written = file.append_via_stream(data);
    writer.write_all(b"more".to_vec()).await;
    drop(writer);
    written.await
}

/// The names in a directory.
pub async fn list(path: &str) -> String {
    shown(names(path).await.map(|names| names.join(" ")))
}

async fn names(path: &str) -> Result<Vec<String>, ErrorCode> {
    let directory = open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ).await?;
    let (entries, ended) = directory.read_directory();
    let entries = all(entries).await;
    ended.await?;
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    Ok(names)
}

/// Opens so many files at a time. Returns how many there were, and what kept it from more.
pub async fn open_many(argument: &str) -> String {
    let (path, count) = argument.split_once(' ').expect("a path and a number");
    let mut files = Vec::new();
    for _ in 0..count.parse().expect("a number") {
        match open(path, OpenFlags::empty(), DescriptorFlags::READ).await {
            Ok(file) => files.push(file),
            Err(code) => return format!("{} {code:?}", files.len()),
        }
    }
    files.len().to_string()
}

/// Calls each of the functions on files in an empty directory.
pub async fn everything(path: &str) -> String {
    shown(all_of_them(path).await.map(|()| "all of it"))
}

async fn all_of_them(path: &str) -> Result<(), ErrorCode> {
    let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    let directory = open(path, OpenFlags::DIRECTORY, flags).await?;
    let here = || PathFlags::empty();
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = directory
        .open_at(here(), "one".to_owned(), OpenFlags::CREATE, flags)
        .await?;
    file.set_size(5).await?;
    assert_eq!(file.stat().await?.size, 5);
    file.sync().await?;
    file.sync_data().await?;
    file.advise(
        0,
        5,
        crate::bindings::wasi::filesystem::types::Advice::Normal,
    )
    .await?;
    file.set_times(NewTimestamp::Now, NewTimestamp::NoChange)
        .await?;
    let flags = file.get_flags().await?;
    assert!(flags & DescriptorFlags::WRITE == DescriptorFlags::WRITE);
    directory
        .link_at(here(), "one".to_owned(), &directory, "two".to_owned())
        .await?;
    let again = directory
        .open_at(
            here(),
            "two".to_owned(),
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .await?;
    assert!(file.is_same_object(&again).await);
    let hash = directory.metadata_hash_at(here(), "two".to_owned()).await?;
    assert_eq!(hash.lower, file.metadata_hash().await?.lower);
    directory
        .symlink_at("one".to_owned(), "three".to_owned())
        .await?;
    assert_eq!(directory.readlink_at("three".to_owned()).await?, "one");
    directory.create_directory_at("four".to_owned()).await?;
    directory
        .rename_at("two".to_owned(), &directory, "four/two".to_owned())
        .await?;
    assert_eq!(
        directory
            .stat_at(here(), "four/two".to_owned())
            .await?
            .link_count,
        2
    );
    directory
        .set_times_at(
            here(),
            "one".to_owned(),
            NewTimestamp::NoChange,
            NewTimestamp::Now,
        )
        .await?;
    directory.unlink_file_at("four/two".to_owned()).await?;
    directory.remove_directory_at("four".to_owned()).await?;
    for name in ["one", "three"] {
        directory.unlink_file_at(name.to_owned()).await?;
    }
    directory.get_type().await.map(|_| ())
}
