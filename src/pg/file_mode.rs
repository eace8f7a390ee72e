//! The mode of files that are written for others to read.

/// While it lives, what this process writes can be read by everybody, as the files of COPY … TO (the
/// umask in `BeginCopyTo`, copyto.c). PostgreSQL's own files have their modes given explicitly and stay
/// as they are; a server's umask lets nobody else read anything.
#[must_use = "the mode is what it was when this is dropped"]
pub struct ForOthersToRead {
    before: libc::mode_t,
}

impl ForOthersToRead {
    #[expect(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Self {
        // SAFETY: cannot fail.
        Self { before: unsafe { libc::umask(libc::S_IWGRP | libc::S_IWOTH) } }
    }
}

impl Drop for ForOthersToRead {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::umask(self.before) };
    }
}
