//! Opening files without waiting: a named pipe would wait for somebody at its other end, for as long as it takes.

use super::opened::{Own, done, now};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{FsError, FsResult};

/// What a guest asks for.
pub struct Request {
    pub path: String,
    pub path_flags: PathFlags,
    pub open_flags: OpenFlags,
    pub flags: DescriptorFlags,
}

/// Opens something in a directory, on this thread. Named pipes and sockets are `unsupported`.
pub fn open(
    own: &mut Own,
    directory: Resource<Descriptor>,
    request: Request,
) -> FsResult<Descriptor> {
    #[cfg(target_os = "linux")]
    if let Some(opened) = linux::open(own.table.get(&directory)?, &request) {
        return opened;
    }
    // Who puts a pipe in its place in between keeps one operation of its guest from ending.
    refuse_pipe(own, &directory, &request)?;
    let opened = done(own.view().open_at(
        directory,
        request.path_flags,
        request.path,
        request.open_flags,
        request.flags,
    ))?;
    Ok(own.table.delete(opened)?)
}

fn refuse_pipe(own: &mut Own, directory: &Resource<Descriptor>, request: &Request) -> FsResult<()> {
    let directory = Resource::new_borrow(directory.rep());
    let path = request.path.clone();
    let stat = now(own.view().stat_at(directory, request.path_flags, path));
    match stat.map_err(FsError::trap)? {
        Ok(stat) if stat.type_ == DescriptorType::Unknown => Err(ErrorCode::Unsupported.into()),
        // What is no file for other reasons, or is not there, is up to the operating system.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The same system call as wasmtime-wasi's, which has no way to say that it is not to wait.
#[cfg(target_os = "linux")]
mod linux {
    use super::Request;
    use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
    use rustix::io::Errno;
    use std::fs::File;
    use std::io;
    use wasmtime_wasi::filesystem::{Descriptor, Dir, File as OpenFile};
    use wasmtime_wasi::p2::FsResult;
    use wasmtime_wasi::p2::bindings::filesystem::types::{
        DescriptorFlags, ErrorCode, OpenFlags, PathFlags,
    };
    use wasmtime_wasi::{FsPerms, OpenMode};

    /// How often it is tried again after a rename in between.
    const TRIES: usize = 4;

    /// Returns `None` if wasmtime-wasi is to open it: it knows why not, or a way without this system call.
    pub fn open(directory: &Descriptor, request: &Request) -> Option<FsResult<Descriptor>> {
        let Descriptor::Dir(directory) = directory else {
            return None;
        };
        let mode = mode(request)?;
        if directory.perms == FsPerms::ReadOnly && mode.contains(OpenMode::WRITE) {
            return None;
        }
        match beneath(&directory.dir, request, mode) {
            // Not supported, forbidden to this process, or renamed again and again.
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => None,
            Err(Errno::XDEV) => Some(Err(ErrorCode::NotPermitted.into())),
            // A named pipe that nobody reads, or a socket.
            Err(Errno::NXIO) => Some(Err(ErrorCode::Unsupported.into())),
            Err(error) => Some(Err(io::Error::from(error).into())),
            Ok(file) => Some(descriptor(file, directory.perms, mode, request.open_flags)),
        }
    }

    /// Returns what it is opened for. None: these flags do not go together.
    fn mode(request: &Request) -> Option<OpenMode> {
        let sync = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        let changes = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let exclusive = OpenFlags::EXCLUSIVE;
        if request.flags.intersects(sync)
            || request.open_flags.contains(OpenFlags::DIRECTORY)
                && request.open_flags.intersects(changes | exclusive)
        {
            return None;
        }
        let writes = request.flags.contains(DescriptorFlags::WRITE);
        let mut mode = OpenMode::empty();
        if writes || request.open_flags.intersects(changes) {
            mode |= OpenMode::WRITE;
        }
        if !writes || request.flags.contains(DescriptorFlags::READ) {
            mode |= OpenMode::READ;
        }
        Some(mode)
    }

    fn beneath(directory: &File, request: &Request, mode: OpenMode) -> Result<File, Errno> {
        let flags = flags(request, mode);
        let permissions = match flags.contains(OFlags::CREATE) {
            true => Mode::from_raw_mode(0o666),
            false => Mode::empty(),
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..TRIES {
            result = openat2(directory, &*request.path, flags, permissions, resolve);
            if !matches!(result, Err(Errno::AGAIN)) {
                break;
            }
        }
        result.map(File::from)
    }

    fn flags(request: &Request, mode: OpenMode) -> OFlags {
        let mut flags = OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        flags |= match (
            mode.contains(OpenMode::READ),
            mode.contains(OpenMode::WRITE),
        ) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        let has = |flag| request.open_flags.contains(flag);
        if has(OpenFlags::CREATE) && has(OpenFlags::EXCLUSIVE) {
            flags |= OFlags::CREATE | OFlags::EXCL;
        } else {
            flags.set(OFlags::CREATE, has(OpenFlags::CREATE));
            flags.set(OFlags::TRUNC, has(OpenFlags::TRUNCATE));
        }
        let follows = request.path_flags.contains(PathFlags::SYMLINK_FOLLOW);
        flags.set(OFlags::NOFOLLOW, !follows);
        flags
    }

    fn descriptor(
        file: File,
        permissions: FsPerms,
        mode: OpenMode,
        open_flags: OpenFlags,
    ) -> FsResult<Descriptor> {
        let stat = fstat(&file).map_err(io::Error::from)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Descriptor::Dir(Dir::new(file, permissions, mode, true))),
            _ if open_flags.contains(OpenFlags::DIRECTORY) => Err(ErrorCode::NotDirectory.into()),
            FileType::Fifo | FileType::Socket => Err(ErrorCode::Unsupported.into()),
            _ => Ok(Descriptor::File(OpenFile::new(
                file,
                permissions,
                mode,
                true,
            ))),
        }
    }
}
