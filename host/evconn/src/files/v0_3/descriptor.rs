//! The resource `descriptor`: each function has wasmtime-wasi do its work, on another thread.

use super::super::open::{Request, open};
use super::super::opened::{Opened, Own, charge, done, now};
use super::super::output::Mode;
use super::super::{Files, HasFiles, Operations};
use super::listing::Names;
use super::reading::Reading;
use super::writing::Writing;
use super::{Ended, convert};
use crate::sockets::Awaits;
use tokio::sync::oneshot;
use wasmtime::component::{Access, Accessor, FutureReader, Lift, Lower, Resource, StreamReader};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor as Blocking;
use wasmtime_wasi::p2::{FsError, FsResult};
use wasmtime_wasi::p3::bindings::filesystem::preopens;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    Filesize, HostDescriptor, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};

type Fd = Resource<Descriptor>;

/// A stream of bytes or of entries that the host writes, and how it ends.
type Stream<T> = (StreamReader<T>, FutureReader<Ended>);

impl preopens::Host for Files<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        wasmtime_wasi::p2::bindings::filesystem::preopens::Host::get_directories(self)
    }
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl HostDescriptor for Files<'_> {
    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        Blocking::drop(self, fd)
    }
}

/// What an operation on files takes of a guest.
struct Share {
    operations: Operations,
    _awaits: Option<Awaits>,
}

fn share(files: &Files<'_>) -> Share {
    Share {
        operations: files.operations.clone(),
        _awaits: files.awaits(),
    }
}

/// Has wasmtime-wasi do something with an open file, on another thread.
async fn run<U, R: Send + 'static>(
    store: &Accessor<U, HasFiles>,
    fd: &Fd,
    action: impl FnOnce(&mut Own, Fd) -> FsResult<R> + Send + 'static,
) -> FilesystemResult<R> {
    let (opened, share) = store
        .with(|mut access| {
            let files = access.get();
            wasmtime::error::Ok((files.opened(fd)?.clone(), share(&files)))
        })
        .map_err(FilesystemError::trap)?;
    let done = share.operations.clone().run(move || opened.with(action));
    convert::result(done.await.map_err(FilesystemError::trap)?)
}

/// Does the same with two of them.
async fn run_with_two<U, R: Send + 'static>(
    store: &Accessor<U, HasFiles>,
    [one, other]: [&Fd; 2],
    action: impl FnOnce(&mut Own, [Fd; 2]) -> FsResult<R> + Send + 'static,
) -> FilesystemResult<R> {
    let other = store
        .with(|mut access| access.get().opened(other).cloned())
        .map_err(FilesystemError::trap)?;
    run(store, one, move |own, one| {
        let other = other.push_to(own)?;
        action(own, [one, other])
    })
    .await
}

/// Returns a stream that has ended, with an error.
fn failed<U, T: Lower + Lift + Send + Sync + 'static>(
    store: &mut Access<'_, U, HasFiles>,
    error: FsError,
) -> wasmtime::Result<Stream<T>> {
    let code = convert::code(error)?;
    Ok((
        StreamReader::new(&mut *store, std::iter::empty())?,
        FutureReader::new(&mut *store, async move { wasmtime::error::Ok(Err(code)) })?,
    ))
}

/// Has the host read what a guest writes to a file.
fn write<U>(
    mut store: Access<'_, U, HasFiles>,
    fd: &Fd,
    mut data: StreamReader<u8>,
    mode: Mode,
) -> wasmtime::Result<FutureReader<Ended>> {
    let (ended, end) = oneshot::channel();
    let files = store.get();
    let opened = files.opened(fd)?;
    // Whether it may be written.
    let checked = opened.with(|own, fd| match mode {
        Mode::At(offset) => own.view().write_via_stream(fd, offset).map(drop),
        Mode::Append => own.view().append_via_stream(fd).map(drop),
    });
    match checked {
        Ok(()) => {
            let writing = Writing::new(opened.clone(), mode, &files, ended);
            data.pipe(&mut store, writing)?;
        }
        Err(error) => {
            let code = convert::code(error)?;
            data.close(&mut store)?;
            // The receiver is there.
            let _ = ended.send(Err(code));
        }
    }
    FutureReader::new(&mut store, end)
}

impl<U> types::HostDescriptorWithStore<U> for HasFiles {
    fn read_via_stream(
        mut store: Access<'_, U, Self>,
        fd: Fd,
        offset: Filesize,
    ) -> wasmtime::Result<Stream<u8>> {
        let files = store.get();
        let opened = files.opened(&fd)?;
        // Whether it may be read.
        if let Err(error) = opened.with(|own, fd| own.view().read_via_stream(fd, offset)) {
            return failed(&mut store, error);
        }
        let (ended, end) = oneshot::channel();
        let reading = Reading::new(opened.clone(), offset, &files, ended);
        Ok((
            StreamReader::new(&mut store, reading)?,
            FutureReader::new(&mut store, end)?,
        ))
    }

    fn write_via_stream(
        store: Access<'_, U, Self>,
        fd: Fd,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> wasmtime::Result<FutureReader<Ended>> {
        write(store, &fd, data, Mode::At(offset))
    }

    fn append_via_stream(
        store: Access<'_, U, Self>,
        fd: Fd,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Ended>> {
        write(store, &fd, data, Mode::Append)
    }

    fn read_directory(
        mut store: Access<'_, U, Self>,
        fd: Fd,
    ) -> wasmtime::Result<Stream<DirectoryEntry>> {
        let files = store.get();
        let charge = match charge(files.account.as_ref()) {
            Ok(charge) => charge,
            Err(error) => return failed(&mut store, error),
        };
        let (ended, end) = oneshot::channel();
        let names = Names::new(files.opened(&fd)?.clone(), charge, &files, ended);
        Ok((
            StreamReader::new(&mut store, names)?,
            FutureReader::new(&mut store, end)?,
        ))
    }

    async fn advise(
        store: &Accessor<U, Self>,
        fd: Fd,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FilesystemResult<()> {
        let advice = convert::advice(advice);
        run(store, &fd, move |own, fd| {
            done(own.view().advise(fd, offset, length, advice))
        })
        .await
    }

    async fn sync_data(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<()> {
        run(store, &fd, |own, fd| done(own.view().sync_data(fd))).await
    }

    async fn get_flags(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<DescriptorFlags> {
        let flags = run(store, &fd, |own, fd| done(own.view().get_flags(fd)));
        flags.await.map(convert::new_flags)
    }

    async fn get_type(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<DescriptorType> {
        let kind = run(store, &fd, |own, fd| done(own.view().get_type(fd)));
        kind.await.map(convert::type_of)
    }

    async fn set_size(store: &Accessor<U, Self>, fd: Fd, size: Filesize) -> FilesystemResult<()> {
        run(store, &fd, move |own, fd| {
            done(own.view().set_size(fd, size))
        })
        .await
    }

    async fn set_times(
        store: &Accessor<U, Self>,
        fd: Fd,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FilesystemResult<()> {
        let (access, change) = (convert::timestamp(access)?, convert::timestamp(change)?);
        run(store, &fd, move |own, fd| {
            done(own.view().set_times(fd, access, change))
        })
        .await
    }

    async fn sync(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<()> {
        run(store, &fd, |own, fd| done(own.view().sync(fd))).await
    }

    async fn create_directory_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        run(store, &fd, |own, fd| {
            done(own.view().create_directory_at(fd, path))
        })
        .await
    }

    async fn stat(store: &Accessor<U, Self>, fd: Fd) -> FilesystemResult<DescriptorStat> {
        let stat = run(store, &fd, |own, fd| done(own.view().stat(fd)));
        stat.await.map(convert::stat)
    }

    async fn stat_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<DescriptorStat> {
        let flags = convert::path_flags(flags);
        let stat = run(store, &fd, move |own, fd| {
            done(own.view().stat_at(fd, flags, path))
        });
        stat.await.map(convert::stat)
    }

    async fn set_times_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FilesystemResult<()> {
        let flags = convert::path_flags(flags);
        let (access, change) = (convert::timestamp(access)?, convert::timestamp(change)?);
        run(store, &fd, move |own, fd| {
            done(own.view().set_times_at(fd, flags, path, access, change))
        })
        .await
    }

    async fn link_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FilesystemResult<()> {
        let flags = convert::path_flags(flags);
        run_with_two(store, [&fd, &new_fd], move |own, [fd, new_fd]| {
            done(own.view().link_at(fd, flags, path, new_fd, new_path))
        })
        .await
    }

    async fn open_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FilesystemResult<Fd> {
        let request = Request {
            path,
            path_flags: convert::path_flags(path_flags),
            open_flags: convert::open_flags(open_flags),
            flags: convert::old_flags(flags),
        };
        let charge = store.with(|mut access| charge(access.get().account.as_ref()));
        let charge = convert::result(charge)?;
        // The charge goes along: the descriptor may be opened after the guest has gone.
        let opened = run(store, &fd, move |own, fd| {
            Ok(Opened::charged(open(own, fd, request)?, charge))
        });
        let opened = opened.await?;
        let pushed = store.with(|mut access| access.get().push(opened));
        pushed.map_err(FilesystemError::trap)
    }

    async fn readlink_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<String> {
        run(store, &fd, |own, fd| done(own.view().readlink_at(fd, path))).await
    }

    async fn remove_directory_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        run(store, &fd, |own, fd| {
            done(own.view().remove_directory_at(fd, path))
        })
        .await
    }

    async fn rename_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FilesystemResult<()> {
        run_with_two(store, [&fd, &new_fd], |own, [fd, new_fd]| {
            done(own.view().rename_at(fd, path, new_fd, new_path))
        })
        .await
    }

    async fn symlink_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        old_path: String,
        path: String,
    ) -> FilesystemResult<()> {
        run(store, &fd, |own, fd| {
            done(own.view().symlink_at(fd, old_path, path))
        })
        .await
    }

    async fn unlink_file_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        run(store, &fd, |own, fd| {
            done(own.view().unlink_file_at(fd, path))
        })
        .await
    }

    async fn is_same_object(
        store: &Accessor<U, Self>,
        fd: Fd,
        other: Fd,
    ) -> wasmtime::Result<bool> {
        let same = run_with_two(store, [&fd, &other], |own, [one, other]| {
            let same = now(own.view().is_same_object(one, other)).flatten();
            same.map_err(FsError::trap)
        });
        // It fails with nothing but a trap.
        same.await.map_err(|error| match error.downcast() {
            Ok(code) => code.into(),
            Err(trap) => trap,
        })
    }

    async fn metadata_hash(
        store: &Accessor<U, Self>,
        fd: Fd,
    ) -> FilesystemResult<MetadataHashValue> {
        let hash = run(store, &fd, |own, fd| done(own.view().metadata_hash(fd)));
        hash.await.map(convert::hash)
    }

    async fn metadata_hash_at(
        store: &Accessor<U, Self>,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<MetadataHashValue> {
        let flags = convert::path_flags(flags);
        let hash = run(store, &fd, move |own, fd| {
            done(own.view().metadata_hash_at(fd, flags, path))
        });
        hash.await.map(convert::hash)
    }
}
