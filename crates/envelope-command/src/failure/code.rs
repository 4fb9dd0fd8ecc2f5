//! What a failure is, for programs.

/// The kind of a failure: a word and an exit status, on both of which scripts may rely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A file, a store or a KMS cannot be read or written, for another reason than those below.
    Io,
    /// A local file does not exist.
    NoSuchFile,
    /// A folder is where a file is expected.
    IsFolder,
    /// The system does not let this user read or write a file.
    PermissionDenied,
    /// An object exists, and is not overwritten.
    ObjectExists,
    /// Not all of many objects were worked on.
    Incomplete,
    /// The arguments are invalid.
    Usage,
    /// A local file exists, and is not overwritten.
    FileExists,
    /// There is no access key.
    NoCredentials,
    /// The metadata is rejected.
    Metadata,
    /// The object is not encrypted.
    NotEncrypted,
    /// No key fits, or the content key cannot be unwrapped.
    Key,
    /// A key file is encrypted, and its passphrase is missing or wrong.
    Passphrase,
    /// The data does not match its metadata or its checksum.
    Integrity,
    /// There is no such object.
    NoSuchObject,
    /// There is no such bucket.
    NoSuchBucket,
    /// The service does not permit it.
    Denied,
    /// The bucket is in another region.
    WrongRegion,
    /// The clock of this machine is wrong.
    ClockSkew,
    /// A service cannot be reached, or does not work.
    Unreachable,
    /// There is no host of this name.
    UnknownHost,
    /// A disk is full, or a quota is used up.
    DiskFull,
    /// A signal ended the work before its end. As a shell says it of SIGINT.
    Interrupted,
    /// Whoever read the standard output does so no longer. As a shell says it of SIGPIPE.
    BrokenPipe,
}

impl Code {
    /// Returns the word for programs, which never changes.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::NoSuchFile => "no-such-file",
            Self::IsFolder => "is-a-folder",
            Self::PermissionDenied => "permission-denied",
            Self::ObjectExists => "object-exists",
            Self::Incomplete => "incomplete",
            Self::Usage => "usage",
            Self::FileExists => "file-exists",
            Self::NoCredentials => "no-credentials",
            Self::Metadata => "metadata",
            Self::NotEncrypted => "not-encrypted",
            Self::Key => "key",
            Self::Passphrase => "passphrase",
            Self::Integrity => "integrity",
            Self::NoSuchObject => "no-such-object",
            Self::NoSuchBucket => "no-such-bucket",
            Self::Denied => "access-denied",
            Self::WrongRegion => "wrong-region",
            Self::ClockSkew => "clock-skew",
            Self::Unreachable => "unreachable",
            Self::UnknownHost => "unknown-host",
            Self::DiskFull => "disk-full",
            Self::Interrupted => "interrupted",
            Self::BrokenPipe => "broken-pipe",
        }
    }

    /// Returns the exit status.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Io
            | Self::NoSuchFile
            | Self::IsFolder
            | Self::PermissionDenied
            | Self::ObjectExists
            | Self::Incomplete => 1,
            Self::Usage | Self::FileExists | Self::NoCredentials => 2,
            Self::Metadata | Self::NotEncrypted => 3,
            Self::Key | Self::Passphrase => 4,
            Self::Integrity => 5,
            Self::NoSuchObject | Self::NoSuchBucket => 6,
            Self::Denied | Self::WrongRegion | Self::ClockSkew => 7,
            Self::Unreachable | Self::UnknownHost => 8,
            Self::DiskFull => 9,
            Self::Interrupted => 130,
            Self::BrokenPipe => 141,
        }
    }
}
