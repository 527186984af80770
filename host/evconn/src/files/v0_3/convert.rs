//! The types of WASI 0.3, and those of WASI 0.2 by which the work is done.

use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types as old;
use wasmtime_wasi::p2::{FsError, StreamError};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::types as new;
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};

/// Returns what a function of WASI 0.3 returns.
pub fn result<T>(result: Result<T, FsError>) -> FilesystemResult<T> {
    result.map_err(|error| match code(error) {
        Ok(code) => code.into(),
        Err(trap) => FilesystemError::trap(trap),
    })
}

/// Returns the code of an error.
///
/// # Errors
/// If it is a trap.
pub fn code(error: FsError) -> wasmtime::Result<new::ErrorCode> {
    error.downcast().map(code_of)
}

/// Does the same with an error of a stream.
pub fn code_of_stream(error: StreamError) -> wasmtime::Result<new::ErrorCode> {
    match error {
        StreamError::Trap(trap) => Err(trap),
        StreamError::Closed => Ok(new::ErrorCode::Io),
        StreamError::LastOperationFailed(error) => {
            if let Some(code) = error.downcast_ref::<old::ErrorCode>() {
                return Ok(code_of(*code));
            }
            let error = error.downcast_ref::<std::io::Error>();
            Ok(error.map_or(new::ErrorCode::Io, new::ErrorCode::from))
        }
    }
}

fn code_of(code: old::ErrorCode) -> new::ErrorCode {
    use new::ErrorCode as New;
    use old::ErrorCode as Old;
    match code {
        Old::Access => New::Access,
        Old::WouldBlock => New::Other(Some("would-block".to_owned())),
        Old::Already => New::Already,
        Old::BadDescriptor => New::BadDescriptor,
        Old::Busy => New::Busy,
        Old::Deadlock => New::Deadlock,
        Old::Quota => New::Quota,
        Old::Exist => New::Exist,
        Old::FileTooLarge => New::FileTooLarge,
        Old::IllegalByteSequence => New::IllegalByteSequence,
        Old::InProgress => New::InProgress,
        Old::Interrupted => New::Interrupted,
        Old::Invalid => New::Invalid,
        Old::Io => New::Io,
        Old::IsDirectory => New::IsDirectory,
        Old::Loop => New::Loop,
        Old::TooManyLinks => New::TooManyLinks,
        Old::MessageSize => New::MessageSize,
        Old::NameTooLong => New::NameTooLong,
        Old::NoDevice => New::NoDevice,
        Old::NoEntry => New::NoEntry,
        Old::NoLock => New::NoLock,
        Old::InsufficientMemory => New::InsufficientMemory,
        Old::InsufficientSpace => New::InsufficientSpace,
        Old::NotDirectory => New::NotDirectory,
        Old::NotEmpty => New::NotEmpty,
        Old::NotRecoverable => New::NotRecoverable,
        Old::Unsupported => New::Unsupported,
        Old::NoTty => New::NoTty,
        Old::NoSuchDevice => New::NoSuchDevice,
        Old::Overflow => New::Overflow,
        Old::NotPermitted => New::NotPermitted,
        Old::Pipe => New::Pipe,
        Old::ReadOnly => New::ReadOnly,
        Old::InvalidSeek => New::InvalidSeek,
        Old::TextFileBusy => New::TextFileBusy,
        Old::CrossDevice => New::CrossDevice,
    }
}

pub fn type_of(kind: old::DescriptorType) -> new::DescriptorType {
    use new::DescriptorType as New;
    use old::DescriptorType as Old;
    match kind {
        Old::Unknown => New::Other(None),
        Old::BlockDevice => New::BlockDevice,
        Old::CharacterDevice => New::CharacterDevice,
        Old::Directory => New::Directory,
        Old::Fifo => New::Fifo,
        Old::SymbolicLink => New::SymbolicLink,
        Old::RegularFile => New::RegularFile,
        Old::Socket => New::Socket,
    }
}

pub fn stat(stat: old::DescriptorStat) -> new::DescriptorStat {
    new::DescriptorStat {
        type_: type_of(stat.type_),
        link_count: stat.link_count,
        size: stat.size,
        data_access_timestamp: stat.data_access_timestamp.and_then(instant),
        data_modification_timestamp: stat.data_modification_timestamp.and_then(instant),
        status_change_timestamp: stat.status_change_timestamp.and_then(instant),
    }
}

fn instant(time: Datetime) -> Option<Instant> {
    Some(Instant {
        seconds: time.seconds.try_into().ok()?,
        nanoseconds: time.nanoseconds,
    })
}

/// Returns a time that is to be set.
///
/// # Errors
/// `overflow` if it is before 1970, which WASI 0.2 has no way to say.
pub fn timestamp(time: new::NewTimestamp) -> Result<old::NewTimestamp, new::ErrorCode> {
    Ok(match time {
        new::NewTimestamp::NoChange => old::NewTimestamp::NoChange,
        new::NewTimestamp::Now => old::NewTimestamp::Now,
        new::NewTimestamp::Timestamp(Instant {
            seconds,
            nanoseconds,
        }) => {
            let seconds = seconds.try_into();
            let seconds = seconds.map_err(|_| new::ErrorCode::Overflow)?;
            old::NewTimestamp::Timestamp(Datetime {
                seconds,
                nanoseconds,
            })
        }
    })
}

pub fn advice(advice: new::Advice) -> old::Advice {
    match advice {
        new::Advice::Normal => old::Advice::Normal,
        new::Advice::Sequential => old::Advice::Sequential,
        new::Advice::Random => old::Advice::Random,
        new::Advice::WillNeed => old::Advice::WillNeed,
        new::Advice::DontNeed => old::Advice::DontNeed,
        new::Advice::NoReuse => old::Advice::NoReuse,
    }
}

pub fn path_flags(flags: new::PathFlags) -> old::PathFlags {
    let mut converted = old::PathFlags::empty();
    if flags.contains(new::PathFlags::SYMLINK_FOLLOW) {
        converted |= old::PathFlags::SYMLINK_FOLLOW;
    }
    converted
}

pub fn open_flags(flags: new::OpenFlags) -> old::OpenFlags {
    let pairs = [
        (new::OpenFlags::CREATE, old::OpenFlags::CREATE),
        (new::OpenFlags::DIRECTORY, old::OpenFlags::DIRECTORY),
        (new::OpenFlags::EXCLUSIVE, old::OpenFlags::EXCLUSIVE),
        (new::OpenFlags::TRUNCATE, old::OpenFlags::TRUNCATE),
    ];
    let set = pairs.into_iter().filter(|(flag, _)| flags.contains(*flag));
    set.fold(old::OpenFlags::empty(), |all, (_, flag)| all | flag)
}

/// The flags of descriptors, in both versions.
const FLAGS: [(new::DescriptorFlags, old::DescriptorFlags); 6] = [
    (new::DescriptorFlags::READ, old::DescriptorFlags::READ),
    (new::DescriptorFlags::WRITE, old::DescriptorFlags::WRITE),
    (
        new::DescriptorFlags::FILE_INTEGRITY_SYNC,
        old::DescriptorFlags::FILE_INTEGRITY_SYNC,
    ),
    (
        new::DescriptorFlags::DATA_INTEGRITY_SYNC,
        old::DescriptorFlags::DATA_INTEGRITY_SYNC,
    ),
    (
        new::DescriptorFlags::REQUESTED_WRITE_SYNC,
        old::DescriptorFlags::REQUESTED_WRITE_SYNC,
    ),
    (
        new::DescriptorFlags::MUTATE_DIRECTORY,
        old::DescriptorFlags::MUTATE_DIRECTORY,
    ),
];

pub fn old_flags(flags: new::DescriptorFlags) -> old::DescriptorFlags {
    let set = FLAGS.into_iter().filter(|(flag, _)| flags.contains(*flag));
    set.fold(old::DescriptorFlags::empty(), |all, (_, flag)| all | flag)
}

pub fn new_flags(flags: old::DescriptorFlags) -> new::DescriptorFlags {
    let set = FLAGS.into_iter().filter(|(_, flag)| flags.contains(*flag));
    set.fold(new::DescriptorFlags::empty(), |all, (flag, _)| all | flag)
}

pub fn hash(hash: old::MetadataHashValue) -> new::MetadataHashValue {
    new::MetadataHashValue {
        lower: hash.lower,
        upper: hash.upper,
    }
}

pub fn entry(entry: old::DirectoryEntry) -> new::DirectoryEntry {
    new::DirectoryEntry {
        type_: type_of(entry.type_),
        name: entry.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_same_in_both_versions() {
        let flags = new::DescriptorFlags::READ | new::DescriptorFlags::MUTATE_DIRECTORY;
        assert_eq!(new_flags(old_flags(flags)), flags);
        let flags = new::OpenFlags::CREATE | new::OpenFlags::TRUNCATE;
        let expected = old::OpenFlags::CREATE | old::OpenFlags::TRUNCATE;
        assert_eq!(open_flags(flags), expected);
    }

    #[test]
    fn a_time_before_1970_cannot_be_set() {
        let at = |seconds| {
            new::NewTimestamp::Timestamp(Instant {
                seconds,
                nanoseconds: 7,
            })
        };
        assert!(matches!(timestamp(at(-1)), Err(new::ErrorCode::Overflow)));
        assert!(matches!(
            timestamp(at(5)),
            Ok(old::NewTimestamp::Timestamp(Datetime {
                seconds: 5,
                nanoseconds: 7
            }))
        ));
    }

    #[test]
    fn an_error_of_a_stream_has_the_code_of_what_went_wrong() {
        let error = std::io::Error::from(std::io::ErrorKind::NotFound);
        let code = code_of_stream(StreamError::LastOperationFailed(error.into()));
        assert!(matches!(code, Ok(new::ErrorCode::NoEntry)));
        let error = old::ErrorCode::IsDirectory.into();
        let code = code_of_stream(StreamError::LastOperationFailed(error));
        assert!(matches!(code, Ok(new::ErrorCode::IsDirectory)));
        let trap = wasmtime::format_err!("a trap");
        assert!(code_of_stream(StreamError::Trap(trap)).is_err());
    }
}
