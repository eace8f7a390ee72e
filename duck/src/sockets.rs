//! The sockets of this process that lead to the PostgreSQL servers of lakes' catalogs.
//!
//! DuckDB's client waits for a catalog's answer in a system call that no interrupt of DuckDB's ends. A
//! catalog that answers nothing any more is cut off: its socket is shut down, and the call returns.
//! DuckDB tells nobody which sockets it has. Over TCP they are known by a connection option that is a
//! different one for each instance and can be read off the socket; over Unix sockets by the place.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// How long what was sent to a catalog may stay unacknowledged ("tcp_user_timeout", libpq's
/// "Parameter Key Words"): this and at most `MARKS` more.
const LEAST_USER_TIMEOUT_MS: u32 = 20_000;
const MARKS: u32 = 5_000;

/// A number of milliseconds for `tcp_user_timeout` that the process has not used before (or not for
/// long).
#[must_use]
pub(crate) fn next_mark() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    LEAST_USER_TIMEOUT_MS + NEXT.fetch_add(1, Ordering::Relaxed) % MARKS
}

/// The sockets of one instance.
#[derive(Debug)]
pub(crate) struct Catalogs {
    pub(crate) mark: u32,
    /// Unix sockets by their names, where those are known.
    pub(crate) unix: Vec<PathBuf>,
}

impl Catalogs {
    /// Shuts the sockets down, and says how many that were. Unix sockets, if these are meant too, may be
    /// other instances': they connect again.
    pub(crate) fn cut_off(&self, unix: bool) -> usize {
        let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return 0 };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok())
            .filter(|fd| self.cut_off_one(*fd, unix))
            .count()
    }

    fn cut_off_one(&self, fd: RawFd, unix: bool) -> bool {
        // The duplicate stays what it is, whatever other threads make of the number meanwhile.
        // SAFETY: plain system call on any number; the result is checked.
        let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
        if copy < 0 {
            return false;
        }
        // SAFETY: fresh, and owned by nobody else.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        if !self.is_ours(&copy, unix) {
            return false;
        }
        // SAFETY: a live descriptor of a socket.
        unsafe { libc::shutdown(copy.as_raw_fd(), libc::SHUT_RDWR) == 0 }
    }

    fn is_ours(&self, socket: &OwnedFd, unix: bool) -> bool {
        if user_timeout(socket) == Some(self.mark) {
            return true;
        }
        if !unix || self.unix.is_empty() {
            return false;
        }
        // SAFETY: borrowed: only its peer is asked for, which fails for what is no Unix socket.
        let stream = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(socket.as_raw_fd()) });
        let peer = stream.peer_addr();
        let place = peer.as_ref().ok().and_then(|peer| peer.as_pathname());
        place.is_some_and(|place| self.unix.iter().any(|path| path == place))
    }
}

/// The option of a TCP socket; `None` for anything else.
fn user_timeout(socket: &OwnedFd) -> Option<u32> {
    let mut value = 0_u32;
    let mut length = libc::socklen_t::try_from(size_of::<u32>()).ok()?;
    // SAFETY: writes as many bytes as `length` says into a live u32; fails for what is no TCP socket.
    let state = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (state == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixListener;

    fn set_user_timeout(stream: &TcpStream, value: u32) {
        // SAFETY: reads four bytes of a live u32.
        let state = unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_USER_TIMEOUT,
                (&raw const value).cast(),
                4,
            )
        };
        assert_eq!(state, 0);
    }

    #[test]
    fn only_sockets_with_the_mark_are_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut own, other, plain) = (connect(), connect(), connect());
        let (mark, another) = (next_mark(), next_mark());
        assert_ne!(mark, another);
        set_user_timeout(&own, mark);
        set_user_timeout(&other, another);
        assert_eq!(Catalogs { mark, unix: vec![] }.cut_off(true), 1);
        assert_eq!(own.read(&mut [0]).unwrap(), 0);
        for left in [other, plain] {
            left.set_nonblocking(true).unwrap();
            let error = (&left).read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn unix_sockets_are_known_by_their_place() {
        let path = std::env::temp_dir().join(format!("pond-sockets-{}", std::process::id()));
        let _listener = UnixListener::bind(&path).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        let elsewhere = Catalogs { mark: next_mark(), unix: vec!["/nowhere".into()] };
        assert_eq!(elsewhere.cut_off(true), 0);
        let here = Catalogs { mark: next_mark(), unix: vec![path.clone()] };
        assert_eq!(here.cut_off(false), 0);
        assert_eq!(here.cut_off(true), 1);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        std::fs::remove_file(path).unwrap();
    }
}
