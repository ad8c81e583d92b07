use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use super::{
    super::{
        Moment, Payload, open, queue,
        queue::tests::{PING, origin},
    },
    *,
};

/// Keeps what it is given, as long as there is room for it.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Default)]
struct DiskState {
    content: Vec<u8>,
    /// `None`: endless.
    room: Option<usize>,
}

impl Disk {
    fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    fn lines(&self) -> Vec<String> {
        let content = self.0.lock().unwrap().content.clone();
        String::from_utf8(content).unwrap().lines().map(String::from).collect()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = bytes.len().min(state.room.unwrap_or(usize::MAX));
        if size == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.content.extend_from_slice(&bytes[..size]);
        state.room = state.room.map(|room| room - size);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connection(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value["connection"].as_str().unwrap().to_owned()
}

fn writer(receivers: Vec<Receiver>, disk: &Disk) -> Writer {
    Writer::new(receivers, Arc::new(Names::new(vec!["edge".into()], [])), Box::new(disk.clone()))
}

#[test]
fn records_of_all_shards_arrive_in_each_shards_order() {
    const RECORDS: u64 = 20_000;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| queue(512, Payload::None)).unzip();
    let disk = Disk::default();
    let mut writer = writer(receivers, &disk);
    let (counts, stop) = (writer.counts(), AtomicBool::new(false));
    let lost: u64 = thread::scope(|scope| {
        scope.spawn(|| writer.run(&stop));
        let shards = senders.into_iter().zip(0..).map(|(mut sender, shard)| {
            scope.spawn(move || {
                (0..RECORDS)
                    .for_each(|i| sender.record(PING, origin(shard, i), Moment { time_ns: i, age_ns: 0 }));
                sender.lost()
            })
        });
        let shards: Vec<_> = shards.collect();
        let lost = shards.into_iter().map(|shard| shard.join().unwrap()).sum();
        stop.store(true, Ordering::Release);
        lost
    });
    let mut last = [None; 2];
    let lines = disk.lines();
    for line in &lines {
        let connection = connection(line);
        let (shard, i) = connection.split_once('-').unwrap();
        let i = u64::from_str_radix(i, 16).unwrap();
        let last = &mut last[shard.parse::<usize>().unwrap()];
        assert!(last.is_none_or(|last| last < i), "{i} after {last:?}");
        *last = Some(i);
    }
    assert!(last.iter().all(Option::is_some));
    assert_eq!(lines.len() as u64 + lost, 2 * RECORDS);
    assert_eq!((counts.written.value(), counts.lost.value()), (lines.len() as u64, 0));
}

#[test]
fn a_full_disk_loses_records_and_nothing_else() {
    let (mut sender, receiver) = queue(64, Payload::None);
    let disk = Disk::default();
    let reports = Arc::new(Counts::default());
    let told = Arc::clone(&reports);
    let mut writer = writer(vec![receiver], &disk).with_failure_report(move |error| {
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        told.lost.add(1);
    });
    let counts = writer.counts();
    let mut send = |connections: std::ops::Range<u64>| {
        connections.for_each(|i| sender.record(PING, origin(0, i), Moment::default()));
        writer.drain();
        (counts.written.value(), counts.lost.value(), reports.lost.value())
    };

    assert_eq!(send(0..2), (2, 0, 0));
    let line_size = disk.lines()[0].len() + 1;
    disk.set_room(Some(line_size * 3 / 2));
    assert_eq!(send(2..5), (3, 2, 1), "one line fits, half of the next too");
    assert_eq!(send(5..8), (3, 5, 1));
    disk.set_room(None);
    assert_eq!(send(8..10), (5, 5, 1));
    disk.set_room(Some(0));
    assert_eq!(send(10..11), (5, 6, 2), "told again after it worked");

    let lines = disk.lines();
    let whole: Vec<_> =
        lines.iter().filter(|line| line.ends_with('}')).map(|line| connection(line)).collect();
    assert_eq!(whole, ["0-0", "0-1", "0-2", "0-8", "0-9"]);
    assert_eq!(lines.len(), 6, "and the half of a line, on a line of its own");
}

#[test]
fn a_drain_is_bounded_and_the_end_is_not() {
    let (mut sender, receiver) = queue(8_000, Payload::None);
    (0..6_000).for_each(|i| sender.record(PING, origin(0, i), Moment::default()));
    let disk = Disk::default();
    let mut writer = writer(vec![receiver], &disk);
    assert_eq!(writer.drain(), TURN_RECORDS_MAX);
    writer.run(&AtomicBool::new(true));
    assert_eq!(disk.lines().len(), 6_000);
}

#[test]
fn the_file_is_private_and_appended_to() {
    let path = std::env::temp_dir().join(format!("wsi-audit-{}.jsonl", std::process::id()));
    for text in ["a\n", "b\n"] {
        open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let content = std::fs::read_to_string(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((content.as_str(), mode & 0o777), ("a\nb\n", 0o600));

    let error = open(&path.join("missing/audit.jsonl")).unwrap_err().to_string();
    assert!(error.contains("audit.jsonl") && error.contains("create its folder"), "{error}");
}
