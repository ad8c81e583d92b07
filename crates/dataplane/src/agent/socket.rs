//! Listening unix sockets and their files.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use crate::{StartError, options::AgentSocket};

/// A socket that listens.
pub(crate) struct Bound {
    pub options: AgentSocket,
    pub listener: UnixListener,
    file: Option<File>,
}

/// Device and inode of a socket's file: by now another process may listen at its path.
struct File {
    path: PathBuf,
    identity: (u64, u64),
}

/// # Errors
/// A path where nobody may listen, or where somebody does.
pub(crate) fn listen(sockets: Vec<AgentSocket>) -> Result<Vec<Bound>, StartError> {
    sockets
        .into_iter()
        .map(|options| {
            let bound = bind(&options.path, options.mode);
            let (listener, file) =
                bound.map_err(|source| StartError::Agent { path: options.path.clone(), source })?;
            Ok(Bound { options, listener, file: Some(file) })
        })
        .collect()
}

/// Sockets for each of `shards`, in turn.
pub(crate) fn spread(sockets: Vec<Bound>, shards: usize) -> Vec<Vec<Bound>> {
    let mut spread: Vec<_> = (0..shards).map(|_| Vec::new()).collect();
    for (i, socket) in sockets.into_iter().enumerate() {
        if let Some(shard) = spread.get_mut(i % shards.max(1)) {
            shard.push(socket);
        }
    }
    spread
}

impl Bound {
    /// Removes the file, so that nobody connects any more and the next process may listen there.
    pub fn unlink(&mut self) {
        if let Some(file) = self.file.take()
            && identity(&file.path).is_ok_and(|identity| identity == file.identity)
        {
            // Gone is what it should be.
            let _ = fs::remove_file(&file.path);
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.unlink();
    }
}

/// The socket is made beside its place and moved there when its permissions are set: nobody connects before, and a file
/// that nobody listens at any more is replaced without a moment in which there is none.
fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, File)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
        }
        Ok(_) | Err(_) => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    if fs::symlink_metadata(&beside).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(&beside)?;
    }
    let listener = UnixListener::bind(&beside)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode))?;
    fs::rename(&beside, path)?;
    Ok((listener, File { path: path.to_owned(), identity: identity(path)? }))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_that_nobody_listens_at_is_replaced() {
        let folder = std::env::temp_dir().join(format!("wsi-socket-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("agent.sock");
        let (listener, file) = bind(&path, 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(bind(&path, 0o600).map(|_| ()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (second, _) = bind(&path, 0o660).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert!(UnixStream::connect(&path).is_ok());
        // The first one's end does not take the second one's file.
        assert_ne!(identity(&path).unwrap(), file.identity);
        drop(second);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(bind(&path, 0o660).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_dir_all(&folder).unwrap();
    }
}
