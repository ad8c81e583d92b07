//! The audit file, set aside when it is large or old.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, SyncSender},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    file::{OpenError, open},
    time::write_rfc3339,
};

const PACKED: &str = ".gz";
const UNFINISHED: &str = ".gz.part";

/// When a file is set aside, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// In bytes; `None`: however large it grows.
    pub size_max: Option<u64>,
    /// `None`: however old it becomes.
    pub age_max: Option<Duration>,
    /// Files that are kept beside the one that is written; older ones are deleted. `None`: all.
    pub kept_max: Option<usize>,
    /// They are compressed (gzip).
    pub compresses: bool,
}

/// A file that is set aside between two lines, under its name and the time: `audit.jsonl.2026-11-25T10-00-00.000000000Z`.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    began: Instant,
    /// The last byte that was written ended a line.
    is_between_lines: bool,
    tidier: Option<Tidier>,
}

/// A thread that compresses what was set aside and deletes the oldest: that takes seconds, and records would be lost meanwhile.
#[derive(Debug)]
struct Tidier {
    calls: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl RotatingFile {
    /// What an earlier process set aside and did not come to compress is compressed too.
    ///
    /// # Errors
    /// The system's, with what to do about it.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self, OpenError> {
        let file = open(path)?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let path = path.to_owned();
        // Without a thread it all stays as it is.
        let tidier = Tidier::start(&path, &rotation).ok();
        Ok(Self { path, rotation, file, size, began: Instant::now(), is_between_lines: true, tidier })
    }

    fn is_due(&self, more: usize) -> bool {
        let is_full = self.rotation.size_max.is_some_and(|max| self.size + more as u64 > max);
        let is_old = self.rotation.age_max.is_some_and(|max| self.began.elapsed() >= max);
        self.is_between_lines && self.size > 0 && (is_full || is_old)
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.path, aside(&self.path))?;
        self.file = open(&self.path).map_err(io::Error::other)?;
        (self.size, self.began) = (0, Instant::now());
        if let Some(tidier) = &self.tidier {
            tidier.call();
        }
        Ok(())
    }
}

impl Drop for RotatingFile {
    /// Waits for what is being compressed, so that nobody finds it half done.
    fn drop(&mut self) {
        if let Some(Tidier { calls, thread }) = self.tidier.take() {
            drop(calls);
            let _ = thread.join();
        }
    }
}

impl Tidier {
    fn start(path: &Path, rotation: &Rotation) -> io::Result<Self> {
        let (calls, called) = mpsc::sync_channel(1);
        let (path, rotation) = (path.to_owned(), rotation.clone());
        let tidy = move || {
            // What can't be done now is tried again the next time.
            let _ = tidy(&path, &rotation);
            called.iter().for_each(|()| drop(tidy(&path, &rotation)));
        };
        Ok(Self { calls, thread: thread::Builder::new().name("audit-tidy".into()).spawn(tidy)? })
    }

    fn call(&self) {
        // One that waits is enough for all that was set aside by then.
        let _ = self.calls.try_send(());
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_due(bytes.len()) {
            self.rotate()?;
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        self.is_between_lines = bytes.get(..written).and_then(<[u8]>::last).is_none_or(|last| *last == b'\n');
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn aside(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut time = Vec::new();
    write_rfc3339(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), &mut time);
    let time = String::from_utf8_lossy(&time).replace(':', "-");
    with_suffix(path, &format!(".{time}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn tidy(path: &Path, rotation: &Rotation) -> io::Result<()> {
    if rotation.compresses {
        // One that can't be compressed, mostly because the disk is full, keeps none of the old ones from being deleted.
        set_aside(path)?.iter().filter(|file| !is_packed(file)).for_each(|file| drop(compress(file)));
    }
    let files = set_aside(path)?;
    let excess = files.len().saturating_sub(rotation.kept_max.unwrap_or(usize::MAX));
    files.iter().take(excess).try_for_each(fs::remove_file)
}

/// Leaves the plain file until the compressed one is whole.
fn compress(path: &Path) -> io::Result<()> {
    let (target, unfinished) = (with_suffix(path, PACKED), with_suffix(path, UNFINISHED));
    // Of a process that was killed.
    if unfinished.exists() {
        fs::remove_file(&unfinished)?;
    }
    let out = open(&unfinished).map_err(io::Error::other)?;
    let mut encoder = GzEncoder::new(out, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, &target)?;
    fs::remove_file(path)
}

/// What was set aside, the oldest first: their names sort as their times do.
fn set_aside(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let is_aside = |file: &str| {
        let time = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        let is_time =
            |time: &str| time.starts_with(|first: char| first.is_ascii_digit()) && time.contains('T');
        time.is_some_and(is_time) && !file.ends_with(UNFINISHED)
    };
    let mut files: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_aside))
        .collect();
    files.sort();
    Ok(files)
}

fn is_packed(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(PACKED.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn wait_for(condition: impl Fn() -> bool) {
        let ends = Instant::now() + Duration::from_secs(10);
        while !condition() && Instant::now() < ends {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(condition());
    }

    #[test]
    fn large_files_are_set_aside_between_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let rotation = Rotation { size_max: Some(10), kept_max: Some(2), ..Rotation::default() };
        let mut file = RotatingFile::open(&path, rotation).unwrap();
        for line in ["first\n", "sec", "ond\n", "third\n", "fourth\n", "fifth\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        wait_for(|| files(folder.path()).len() == 3);
        let contents: Vec<_> = files(folder.path())
            .iter()
            .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
            .collect();
        assert_eq!(contents, ["fifth\n", "third\n", "fourth\n"]);
    }

    #[test]
    fn old_files_are_set_aside_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let rotation = Rotation { age_max: Some(Duration::ZERO), compresses: true, ..Rotation::default() };
        let mut file = RotatingFile::open(&path, rotation).unwrap();
        file.write_all(b"first\n").unwrap();
        file.write_all(b"second\n").unwrap();
        wait_for(|| files(folder.path()).get(1).is_some_and(|name| name.ends_with(".gz")));
        let packed = File::open(folder.path().join(&files(folder.path())[1])).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "second\n");
    }

    #[test]
    fn what_a_killed_process_left_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let left = folder.path().join("audit.jsonl.2026-11-25T10-00-00.000000000Z");
        fs::write(&left, "first\n").unwrap();
        fs::write(with_suffix(&left, UNFINISHED), "half").unwrap();
        fs::write(folder.path().join("audit.jsonl.bak"), "mine").unwrap();
        let rotation = Rotation { compresses: true, ..Rotation::default() };
        drop(RotatingFile::open(&path, rotation).unwrap());
        let names = ["audit.jsonl", "audit.jsonl.2026-11-25T10-00-00.000000000Z.gz", "audit.jsonl.bak"];
        assert_eq!(files(folder.path()), names);
        let mut text = String::new();
        let packed = File::open(folder.path().join(names[1])).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first\n");
    }

    #[test]
    fn the_oldest_go_although_one_can_not_be_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for hour in 10..14 {
            fs::write(folder.path().join(format!("a.2026-11-25T{hour}-00-00.0Z")), "x\n").unwrap();
        }
        // Where the last one's would be written there is something that is no file.
        fs::create_dir(folder.path().join("a.2026-11-25T13-00-00.0Z.gz.part")).unwrap();
        let rotation = Rotation { compresses: true, kept_max: Some(2), ..Rotation::default() };
        drop(RotatingFile::open(&path, rotation).unwrap());
        let names = [
            "a",
            "a.2026-11-25T12-00-00.0Z.gz",
            "a.2026-11-25T13-00-00.0Z",
            "a.2026-11-25T13-00-00.0Z.gz.part",
        ];
        assert_eq!(files(folder.path()), names);
    }

    #[test]
    fn an_empty_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { size_max: Some(1), ..Rotation::default() };
        let mut file = RotatingFile::open(&folder.path().join("a"), rotation).unwrap();
        file.write_all(b"longer than that\n").unwrap();
        assert_eq!(files(folder.path()), ["a"]);
    }
}
