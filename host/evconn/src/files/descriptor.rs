//! The resource `descriptor`: each function has wasmtime-wasi do its work, on another thread.

use super::Files;
use super::input::FileInput;
use super::listing::Listing;
use super::open::{Request, open};
use super::opened::{Opened, Own, charge, done, now};
use super::output::{FileOutput, Mode};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, IoError};

type Fd = Resource<Descriptor>;

impl preopens::Host for Files<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let mut own = Own::default();
        let mut view = WasiFilesystemCtxView {
            ctx: self.granted,
            table: &mut own.table,
        };
        let directories = preopens::Host::get_directories(&mut view)?;
        let mut opened = Vec::with_capacity(directories.len());
        for (directory, path) in directories {
            let directory = own.table.delete(directory)?;
            opened.push((self.push(Opened::granted(directory))?, path));
        }
        Ok(opened)
    }
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let mut view = WasiFilesystemCtxView {
            ctx: self.granted,
            table: self.table,
        };
        types::Host::filesystem_error_code(&mut view, error)
    }
}

impl HostDescriptor for Files<'_> {
    async fn advise(
        &mut self,
        fd: Fd,
        offset: Filesize,
        len: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.run(&fd, move |own, fd| {
            done(own.view().advise(fd, offset, len, advice))
        })
        .await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.run(&fd, |own, fd| done(own.view().sync_data(fd)))
            .await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.run(&fd, |own, fd| done(own.view().get_flags(fd)))
            .await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.run(&fd, |own, fd| done(own.view().get_type(fd))).await
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        self.run(&fd, move |own, fd| done(own.view().set_size(fd, size)))
            .await
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FsResult<()> {
        self.run(&fd, move |own, fd| {
            done(own.view().set_times(fd, access, change))
        })
        .await
    }

    async fn read(&mut self, fd: Fd, len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        self.run(&fd, move |own, fd| done(own.view().read(fd, len, offset)))
            .await
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.run(&fd, move |own, fd| {
            done(own.view().write(fd, bytes, offset))
        })
        .await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        let charge = charge(self.account.as_ref())?;
        let listing = self.run(&fd, move |own, fd| Listing::open(own, fd, charge));
        let listing = listing.await?;
        let listing = self.table.push(listing)?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.run(&fd, |own, fd| done(own.view().sync(fd))).await
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.run(&fd, |own, fd| {
            done(own.view().create_directory_at(fd, path))
        })
        .await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.run(&fd, |own, fd| done(own.view().stat(fd))).await
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.run(&fd, move |own, fd| {
            done(own.view().stat_at(fd, flags, path))
        })
        .await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FsResult<()> {
        self.run(&fd, move |own, fd| {
            done(own.view().set_times_at(fd, flags, path, access, change))
        })
        .await
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        self.run_with_two([&fd, &new_fd], move |own, [fd, new_fd]| {
            done(own.view().link_at(fd, flags, path, new_fd, new_path))
        })
        .await
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let request = Request {
            path,
            path_flags,
            open_flags,
            flags,
        };
        self.open(&fd, |own, fd| open(own, fd, request)).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Opened>::new_own(fd.rep()))?;
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.run(&fd, |own, fd| done(own.view().readlink_at(fd, path)))
            .await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.run(&fd, |own, fd| {
            done(own.view().remove_directory_at(fd, path))
        })
        .await
    }

    async fn rename_at(
        &mut self,
        fd: Fd,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        self.run_with_two([&fd, &new_fd], |own, [fd, new_fd]| {
            done(own.view().rename_at(fd, path, new_fd, new_path))
        })
        .await
    }

    async fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        self.run(&fd, |own, fd| done(own.view().symlink_at(fd, target, path)))
            .await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.run(&fd, |own, fd| done(own.view().unlink_file_at(fd, path)))
            .await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let opened = self.opened(&fd)?;
        // Whether it may be read.
        opened.with(|own, fd| own.view().read_via_stream(fd, offset))?;
        let input = FileInput::new(
            opened.clone(),
            offset,
            self.account.as_ref(),
            &self.operations,
        );
        Ok(self.table.push(Box::new(input) as DynInputStream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Fd,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let opened = self.opened(&fd)?;
        // Whether it may be written.
        opened.with(|own, fd| own.view().write_via_stream(fd, offset))?;
        self.push_output(opened.clone(), Mode::At(offset))
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let opened = self.opened(&fd)?;
        opened.with(|own, fd| own.view().append_via_stream(fd))?;
        self.push_output(opened.clone(), Mode::Append)
    }

    async fn is_same_object(&mut self, one: Fd, other: Fd) -> wasmtime::Result<bool> {
        let same = self.run_with_two([&one, &other], |own, [one, other]| {
            let same = now(own.view().is_same_object(one, other)).flatten();
            same.map_err(FsError::trap)
        });
        // It fails with nothing but a trap.
        same.await.map_err(|error| match error.downcast() {
            Ok(code) => code.into(),
            Err(trap) => trap,
        })
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.run(&fd, |own, fd| done(own.view().metadata_hash(fd)))
            .await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.run(&fd, move |own, fd| {
            done(own.view().metadata_hash_at(fd, flags, path))
        })
        .await
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let operations = self.operations.clone();
        let listing = Resource::<Listing>::new_borrow(stream.rep());
        self.table.get_mut(&listing)?.next(operations).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl Files<'_> {
    fn push_output(&mut self, opened: Opened, mode: Mode) -> FsResult<Resource<DynOutputStream>> {
        let output = FileOutput::new(opened, mode, self.account.as_ref(), &self.operations);
        Ok(self.table.push(Box::new(output) as DynOutputStream)?)
    }
}
