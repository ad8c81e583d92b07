use std::{
    error::Error,
    fs::{self, File},
    io::Read as _,
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use jsonschema::{Retrieve, Uri};
use serde_json::Value;

/// The largest schema file, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How many files one schema may refer to, directly or not.
pub(crate) const FILES_MAX: usize = 64;

type Refusal = Box<dyn Error + Send + Sync>;

/// Resolves `$ref` to other files of the schema's folder, and refuses everything else.
pub(super) struct FolderRetriever {
    /// Canonical. `None`: the schema stands alone.
    folder: Option<PathBuf>,
    files: AtomicUsize,
}

impl FolderRetriever {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, files: AtomicUsize::new(0) }
    }

    /// The canonical path of the file that `uri` names, once it is known to lie in the folder.
    fn locate(&self, uri: &Uri<String>) -> Result<PathBuf, Refusal> {
        if uri.scheme().as_str() != "file" {
            return Err(format!(
                "\"{uri}\" is not fetched: a schema may only refer to files of its own folder. Copy it there and \
                 refer to it by its relative path, or move it into \"$defs\"; an \"$id\" with another scheme makes \
                 relative references point there too"
            )
            .into());
        }
        let folder = self.folder.as_deref().ok_or_else(|| {
            format!("\"{uri}\" is not read: this schema has no folder; move what it refers to into \"$defs\"")
        })?;
        let path = local_path(uri)?;
        let file = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        if !file.starts_with(folder) {
            return Err(format!(
                "{} lies outside {}; copy it into that folder",
                path.display(),
                folder.display()
            )
            .into());
        }
        Ok(file)
    }
}

impl Retrieve for FolderRetriever {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Refusal> {
        let file = self.locate(uri)?;
        if self.files.fetch_add(1, Ordering::Relaxed) >= FILES_MAX {
            return Err(format!("the schema refers to more than {FILES_MAX} files; join some of them").into());
        }
        let text = read(&file).map_err(|reason| format!("{}: {reason}", file.display()))?;
        Ok(parse(&text).map_err(|reason| format!("{}: {reason}", file.display()))?)
    }
}

fn local_path(uri: &Uri<String>) -> Result<PathBuf, Refusal> {
    let is_local = uri.authority().is_none_or(|authority| authority.as_str().is_empty());
    if !is_local || uri.query().is_some() {
        return Err(format!("\"{uri}\" is not the path of a local file").into());
    }
    let path = uri.path().decode().to_string().map_err(|_| format!("the path of \"{uri}\" is not UTF-8"))?;
    let path = PathBuf::from(path.into_owned());
    // Plain `..` is resolved before it gets here, and then caught by its target; an encoded one is not.
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(format!("\"{uri}\" climbs out of its folder; refer to a file of the folder").into());
    }
    Ok(path)
}

/// Reads a schema file.
pub(crate) fn read(file: &Path) -> Result<String, String> {
    // A device or a pipe could be read for ever, and opening one can block.
    if !fs::metadata(file).map_err(|error| error.to_string())?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut text = String::new();
    let bounded = File::open(file).map(|file| file.take(FILE_BYTES_MAX + 1));
    bounded.and_then(|mut file| file.read_to_string(&mut text)).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes; split the schema"));
    }
    Ok(text)
}

/// Parses the text of a schema as strictly as a message: a name that stands twice is a mistake.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let limits = super::Limits { depth_max: super::DEPTH_MAX_CEILING };
    super::Document::parse(text, &limits).map_err(|fault| format!("not usable: {fault}"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(folder: &Path, uri: &str) -> Result<PathBuf, String> {
        let retriever = FolderRetriever::new(Some(folder.canonicalize().unwrap()));
        retriever.locate(&uri.parse().unwrap()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn only_files_of_the_folder_are_located() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a b");
        fs::create_dir_all(folder.join("sub")).unwrap();
        for file in ["in.json", "sub/in.json", "../out.json"] {
            fs::write(folder.join(file), "{}").unwrap();
        }
        std::os::unix::fs::symlink(folder.join("../out.json"), folder.join("leaving.json")).unwrap();
        std::os::unix::fs::symlink(folder.join("sub/in.json"), folder.join("staying.json")).unwrap();
        let base = format!("file://{}/a%20b", outer.path().display());

        for name in ["in.json", "sub/in.json", "staying.json"] {
            assert!(locate(&folder, &format!("{base}/{name}")).is_ok(), "{name}");
        }
        for name in [
            "leaving.json",
            "%2e%2e/out.json",
            "sub/%2E%2E/in.json",
            "../out.json",
            "missing.json",
            "in.json?x",
        ] {
            assert!(locate(&folder, &format!("{base}/{name}")).is_err(), "{name}");
        }
        for uri in [
            "http://localhost/in.json",
            "https://x/in.json",
            "ftp://x/y",
            "file://host/etc/passwd",
            "urn:x:y",
        ] {
            assert!(locate(&folder, uri).is_err(), "{uri}");
        }
        let error = locate(&folder, "http://localhost/in.json").unwrap_err();
        assert!(error.contains("is not fetched"), "{error}");
    }

    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.json");
        fs::write(&large, " ".repeat(FILE_BYTES_MAX as usize)).unwrap();
        assert!(read(&large).is_ok());
        fs::write(&large, " ".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        assert!(read(&large).unwrap_err().contains("larger than"));
        assert_eq!(read(folder.path()), Err("not a regular file".to_owned()));
        assert!(read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn no_more_than_so_many_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "{}").unwrap();
        let retriever = FolderRetriever::new(Some(folder.path().canonicalize().unwrap()));
        let uri = format!("file://{}/a.json", folder.path().display()).parse().unwrap();
        assert!((0..FILES_MAX).all(|_| retriever.retrieve(&uri).is_ok()));
        assert!(retriever.retrieve(&uri).is_err());
    }
}
