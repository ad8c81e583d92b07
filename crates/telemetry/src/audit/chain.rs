//! Lines that vouch for each other: one that is changed, removed or added later is found.
//!
//! Each line ends with its number and a hash over itself and the hash before it, through all files of the stream. Whoever can write
//! the files can write them anew from some line on; so the hash is noted beside them now and then ([`Checkpoints`]), for those who keep
//! notes where nobody of this machine writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use sha2::{Digest, Sha256};

use super::json::write_hex;

/// Of a line, 16 bytes of SHA-256.
pub type Hash = [u8; 16];

/// Lines between two notes.
const CHECKPOINT_LINES: u64 = 10_000;
/// The longest line that is read back.
const LINE_SIZE_MAX: u64 = 1 << 20;

const SEQUENCE: &str = ",\"seq\":";
const CHAIN: &str = ",\"chain\":\"";

/// Where the chain has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Lines so far.
    pub sequence: u64,
    pub hash: Hash,
}

impl Chain {
    /// Adds the object that `line` ends with, from `start` on: number and hash become its last members.
    pub(crate) fn seal(&mut self, line: &mut Vec<u8>, start: usize) {
        // The object's end, and the line's.
        line.truncate(line.len().saturating_sub(2));
        self.sequence += 1;
        // Writing to a Vec can't fail.
        let _ = write!(line, "{SEQUENCE}{}", self.sequence);
        self.hash = next(&self.hash, &line[start..]);
        line.extend_from_slice(CHAIN.as_bytes());
        write_hex(&self.hash, line);
        line.extend_from_slice(b"\"}\n");
    }

    /// Where the stream of the file at `path` has come to: at its last line. `None`: it has none, or it is no link of a chain.
    ///
    /// # Errors
    /// The system's.
    pub fn of_file(path: &Path) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LINE_SIZE_MAX)))?;
        let mut end = Vec::new();
        file.take(LINE_SIZE_MAX).read_to_end(&mut end)?;
        let last = end.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        Ok(last.and_then(read_link).map(|link| Self { sequence: link.sequence, hash: link.hash }))
    }

    /// Follows the chain through `lines`. If `is_first`, they may begin anywhere: that line is not checked itself unless it is number
    /// 1, because what is before it is not there.
    ///
    /// # Errors
    /// The first line that does not follow.
    pub fn verify(mut self, mut lines: impl BufRead, is_first: bool) -> Result<Self, BrokenChain> {
        let mut line = Vec::new();
        let mut begins = is_first;
        for number in 1.. {
            line.clear();
            let size = lines.by_ref().take(LINE_SIZE_MAX).read_until(b'\n', &mut line);
            if size.map_err(|source| BrokenChain { line: number, fault: Fault::Unreadable(source) })? == 0 {
                break;
            }
            let broken = |fault| BrokenChain { line: number, fault };
            let line = line.strip_suffix(b"\n").ok_or_else(|| broken(Fault::Cut))?;
            if line.is_empty() {
                continue;
            }
            let link = read_link(line).ok_or_else(|| broken(Fault::NoLink))?;
            if begins {
                // What was before it is in a file that is not here, unless it is the very first.
                begins = false;
                if link.sequence == 1 && next(&Hash::default(), link.sealed) != link.hash {
                    return Err(broken(Fault::Changed));
                }
            } else if link.sequence != self.sequence + 1 {
                return Err(broken(Fault::Gap { expected: self.sequence + 1, found: link.sequence }));
            } else if next(&self.hash, link.sealed) != link.hash {
                return Err(broken(Fault::Changed));
            }
            self = Self { sequence: link.sequence, hash: link.hash };
        }
        Ok(self)
    }
}

/// The place where a chain breaks.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct BrokenChain {
    pub line: u64,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it was changed, or the line before it was")]
    Changed,
    #[error("it has number {found} where {expected} should be: lines were removed or added")]
    Gap { expected: u64, found: u64 },
    #[error("it is no record of a chain; was `chain` on when it was written?")]
    NoLink,
    #[error("its end is missing: the process or the machine was stopped, or it was cut")]
    Cut,
    #[error("{0}")]
    Unreadable(io::Error),
}

/// Notes of where the chain has come to, in a file of their own.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    file: File,
    /// Lines at the last note.
    noted: u64,
}

impl Checkpoints {
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, chain: &Chain) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file, noted: chain.sequence })
    }

    /// Notes it, if there is enough that is new or `is_last`. What can't be noted is missing and stops nothing.
    pub fn note(&mut self, chain: &Chain, is_last: bool) {
        let fresh = chain.sequence - self.noted;
        if fresh >= CHECKPOINT_LINES || is_last && fresh > 0 {
            let mut line = format!("{} ", chain.sequence).into_bytes();
            write_hex(&chain.hash, &mut line);
            line.push(b'\n');
            self.noted = chain.sequence;
            let _ = self.file.write_all(&line);
        }
    }
}

struct Link<'a> {
    sequence: u64,
    hash: Hash,
    /// What the hash is over, beside the one before.
    sealed: &'a [u8],
}

fn read_link(line: &[u8]) -> Option<Link<'_>> {
    let text = std::str::from_utf8(line).ok()?;
    // Members of a payload's text can't look like this: their quotes are escaped.
    let (sealed, hash) = text.rsplit_once(CHAIN)?;
    let (_, sequence) = sealed.rsplit_once(SEQUENCE)?;
    let digits = hash.strip_suffix("\"}").filter(|digits| digits.len() == 32)?;
    let hash = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some(Link { sequence: sequence.parse().ok()?, hash, sealed: sealed.as_bytes() })
}

fn next(before: &Hash, sealed: &[u8]) -> Hash {
    let digest = Sha256::new().chain_update(before).chain_update(sealed).finalize();
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<u8> {
        let (mut chain, mut out) = (Chain::default(), Vec::new());
        for number in 0..count {
            let start = out.len();
            let _ = writeln!(out, "{{\"event\":\"x\",\"text\":\",\\\"seq\\\":{number}\"}}");
            chain.seal(&mut out, start);
        }
        out
    }

    fn verify(bytes: &[u8]) -> Result<Chain, String> {
        Chain::default().verify(bytes, true).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_stay_json_and_follow_each_other() {
        let bytes = lines(5);
        for (number, line) in (1..).zip(String::from_utf8(bytes.clone()).unwrap().lines()) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["seq"], number);
            assert_eq!(value["chain"].as_str().unwrap().len(), 32);
        }
        assert_eq!(verify(&bytes).unwrap().sequence, 5);
        assert_eq!(verify(b"").unwrap(), Chain::default());
    }

    #[test]
    fn any_change_is_found() {
        let bytes = lines(6);
        let first_end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        // Without its end the first line is no line, and the second begins the chain.
        for at in (0..bytes.len()).filter(|at| *at != first_end) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(verify(&changed).is_err(), "byte {at}");
        }
        let text = String::from_utf8(bytes).unwrap();
        let each: Vec<_> = text.split_inclusive('\n').collect();
        for gone in 0..5 {
            let rest: String = (0..6).filter(|at| *at != gone).map(|at| each[at]).collect();
            // Of a first line that is missing only a note of its place can tell.
            assert_eq!(verify(rest.as_bytes()).is_err(), gone != 0, "line {gone}");
        }
        assert!(verify(format!("{text}{}", each[5]).as_bytes()).unwrap_err().contains("number 6 where 7"));
        assert!(verify(&text.as_bytes()[..text.len() - 1]).unwrap_err().contains("its end is missing"));
        assert!(verify(b"{}\n").unwrap_err().contains("no record of a chain"));
    }

    #[test]
    fn it_goes_on_in_the_next_file_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        assert_eq!(Chain::of_file(&path).unwrap(), None);
        let bytes = lines(7);
        std::fs::write(&path, &bytes).unwrap();
        let chain = Chain::of_file(&path).unwrap().unwrap();
        assert_eq!(chain, verify(&bytes).unwrap());
        let (mut after, mut more) = (chain, b"{\"a\":1}\n".to_vec());
        after.seal(&mut more, 0);
        assert_eq!(chain.verify(&more[..], false).unwrap().sequence, 8);
        assert!(Chain::default().verify(&more[..], false).is_err());
    }
}
