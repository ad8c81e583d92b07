//! Whether the self-test can fail: relays that are broken in one way each, and what it says of them.

use std::{path::Path, sync::Arc};

use wsi_config::policy::{Direction, Policy};
use wsi_inspect::Engine;

use super::{
    attacks::Class,
    frames::{FIN, Framer, PING, PONG},
    receiver::contains,
    relay::{Answer, Inspected, Relay, Told},
    runner::{Findings, product},
    suite::Suite,
};

const WORD: &[u8] = b"block-this(";

fn policy(more: &str) -> Policy {
    let text = format!(
        r#"agent "test" {{
            type "websocket_inspector"
            handshake {{ compression "inspect"; allow-origins "https://app.example.com" }}
            rate-limit {{ messages-per-second 10; direction "both" }}
            content-filter {{ block-patterns "block-this("; {more} }}
        }}"#
    );
    wsi_config::parse("test.kdl", &text, Path::new("")).unwrap().ruleset.policies.remove(0)
}

fn findings(policy: &Policy, build: &dyn Fn(Arc<Engine>) -> Result<Box<dyn Relay>, String>) -> Findings {
    Findings::of(policy, &Suite::of(policy).unwrap(), build).unwrap()
}

/// Rows of these classes as (class, group, tried, slipped).
fn rows(findings: &Findings, classes: &[Class]) -> Vec<(Class, &'static str, usize, usize)> {
    let rows = findings.rows.iter().filter(|((class, _), _)| classes.contains(class));
    rows.map(|((class, group), row)| (*class, *group, row.tried, row.slipped)).collect()
}

#[test]
fn nothing_slips_past_the_product() {
    for more in ["", r#"action "drop""#, r#"action "alert""#, r#"normalize "none"; direction "to-client""#] {
        let findings = findings(&policy(more), &product);
        assert_eq!((findings.slipped(), findings.wrong()), (0, 0), "{more}: {:?}", findings.slips);
    }
}

/// What a rewrite can't read is dropped, which is neither an attack that was found nor a good message that went wrong.
#[test]
fn a_rewrite_hides_nothing() {
    let with = policy(r#"}; rewrite { at "/user/ip"; remove "#);
    let (with, without) = (findings(&with, &product), findings(&policy(""), &product));
    assert_eq!((with.slipped(), with.wrong()), (0, 0), "{:?}", with.slips);
    assert_eq!(rows(&with, &[Class::Benign]), rows(&without, &[Class::Benign]));
}

/// Both endpoints, as if there were nothing between them.
#[derive(Default)]
struct PassThrough {
    heard: [Vec<u8>; 2],
}

impl Relay for PassThrough {
    fn upgrade(&mut self, request: &[&[u8]], answer: &dyn Fn(&[u8]) -> Vec<u8>) -> Answer {
        self.heard = Default::default();
        let upstream = request.concat();
        let paths = vec![String::from_utf8_lossy(&upstream).lines().next().unwrap_or_default().to_owned()];
        Answer { client: answer(&upstream), upstream: Some(upstream), is_open: true, paths }
    }

    fn read(&mut self, direction: Direction, bytes: &[u8]) {
        self.heard[direction.index()].extend(bytes);
    }

    fn vanish(&mut self, _: Direction) {}

    fn wait(&mut self) {}

    fn heard(&self, direction: Direction) -> &[u8] {
        &self.heard[direction.index()]
    }

    fn verdicts(&self) -> &[Told] {
        &[]
    }
}

#[test]
fn everything_slips_past_nothing() {
    let findings = findings(&policy(""), &|_| Ok(Box::<PassThrough>::default()));
    let content = [Class::Compression, Class::Text, Class::Binary];
    for (class, group, tried, slipped) in rows(&findings, &content) {
        // Streams that are broken, or bombs that nobody inflates, arrive as something else than messages.
        if !matches!(group, "broken streams" | "bombs") {
            assert_eq!(slipped, tried, "{class:?} {group}");
        }
    }
    for (class, group, tried, slipped) in rows(&findings, &[Class::Fragmentation, Class::Resources]) {
        let is_limit = matches!(group, "limits" | "characters" | "floods");
        assert!(slipped == tried || is_limit, "{class:?} {group}: {slipped} of {tried}");
    }
    for ((class, group), row) in &findings.rows {
        let is_benign = *class == Class::Benign;
        assert_eq!(row.right == row.tried, is_benign, "{class:?} {group}: {row:?}");
        assert!(is_benign || *class == Class::Framing || row.right == 0, "{class:?} {group}: {row:?}");
    }
    let frames_that_pass = findings.rows[&(Class::Framing, "in control frames")].slipped;
    assert_eq!(frames_that_pass, findings.rows[&(Class::Framing, "in control frames")].tried);
}

/// Judges each frame by itself, by its raw bytes: what relays do that don't put messages together.
struct FrameByFrame {
    through: PassThrough,
    held: [Vec<u8>; 2],
    stopped: Vec<Told>,
}

impl Relay for FrameByFrame {
    fn upgrade(&mut self, request: &[&[u8]], answer: &dyn Fn(&[u8]) -> Vec<u8>) -> Answer {
        self.stopped.clear();
        self.held = Default::default();
        self.through.upgrade(request, answer)
    }

    fn read(&mut self, direction: Direction, bytes: &[u8]) {
        let held = &mut self.held[direction.index()];
        held.extend(bytes);
        while let Some(size) = frame_size(held) {
            let frame: Vec<u8> = held.drain(..size).collect();
            let payload = unmasked(&frame);
            if !self.stopped.is_empty() {
                return;
            }
            if contains(&payload, WORD) {
                self.stop();
                return;
            }
            self.through.read(direction, &frame);
        }
    }

    fn vanish(&mut self, _: Direction) {}

    fn wait(&mut self) {}

    fn heard(&self, direction: Direction) -> &[u8] {
        self.through.heard(direction)
    }

    fn verdicts(&self) -> &[Told] {
        &self.stopped
    }
}

impl FrameByFrame {
    fn stop(&mut self) {
        use wsi_config::policy::Action;
        use wsi_inspect::{CloseCode, Outcome};
        let outcome = Outcome::Message(Action::Close(CloseCode::POLICY_VIOLATION));
        self.stopped.push(Told {
            rule: "content-filter-1/block-patterns-1".into(),
            direction: None,
            outcome,
        });
        for direction in Direction::BOTH {
            let close = Framer::new(direction).close(1008, b"");
            self.through.read(direction, &close);
        }
    }
}

fn frame_size(bytes: &[u8]) -> Option<usize> {
    let length = *bytes.get(1)?;
    let mask = if length & 0x80 == 0 { 0 } else { 4 };
    let (header, payload) = match length & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).ok()?),
        size => (2, usize::from(size)),
    };
    let size = payload.checked_add(header + mask)?;
    (bytes.len() >= size).then_some(size)
}

fn unmasked(frame: &[u8]) -> Vec<u8> {
    let header = match frame[1] & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    if frame[1] & 0x80 == 0 {
        return frame[header..].to_vec();
    }
    let key = &frame[header..header + 4];
    frame[header + 4..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

#[test]
fn a_relay_that_judges_frames_alone_lets_what_is_cut_slip() {
    let build = |_| -> Result<Box<dyn Relay>, String> {
        Ok(Box::new(FrameByFrame {
            through: PassThrough::default(),
            held: Default::default(),
            stopped: Vec::new(),
        }))
    };
    let findings = findings(&policy(""), &build);
    let row = |class, group| &findings.rows[&(class, group)];
    assert_eq!(row(Class::Fragmentation, "whole").right, row(Class::Fragmentation, "whole").tried);
    assert_eq!(row(Class::Framing, "in control frames").slipped, 0);
    for group in ["cut in two", "with a ping between", "one byte a fragment"] {
        let row = row(Class::Fragmentation, group);
        assert_eq!(row.slipped, row.tried, "{group}");
    }
    let escapes = row(Class::Text, "JSON escapes");
    assert_eq!(escapes.slipped, escapes.tried);
    let blocks = row(Class::Compression, "kinds of blocks");
    assert!(blocks.slipped > 0 && blocks.right > 0, "stored blocks hold the word as it is: {blocks:?}");
}

/// The product, but one thing of it broken.
struct Broken {
    product: Inspected,
    tells: bool,
    goes_on: bool,
    heard: [Vec<u8>; 2],
}

impl Relay for Broken {
    fn upgrade(&mut self, request: &[&[u8]], answer: &dyn Fn(&[u8]) -> Vec<u8>) -> Answer {
        self.product.upgrade(request, answer)
    }

    fn read(&mut self, direction: Direction, bytes: &[u8]) {
        self.product.read(direction, bytes);
        self.heard = Direction::BOTH.map(|each| self.product.heard(each).to_vec());
        if self.goes_on {
            let pong = Framer::new(direction).frame(FIN | PONG, b"");
            let ping = Framer::new(direction).frame(FIN | PING, b"");
            // Before the close frame, as a relay would that reads on before it judges.
            self.heard[direction.index()].splice(0..0, [ping, pong].concat());
        }
    }

    fn vanish(&mut self, direction: Direction) {
        self.product.vanish(direction);
    }

    fn wait(&mut self) {
        self.product.wait();
    }

    fn heard(&self, direction: Direction) -> &[u8] {
        &self.heard[direction.index()]
    }

    fn verdicts(&self) -> &[Told] {
        if self.tells { self.product.verdicts() } else { &[] }
    }
}

#[test]
fn what_is_stopped_badly_is_wrong() {
    for (tells, goes_on) in [(false, false), (true, true)] {
        let build = |engine| -> Result<Box<dyn Relay>, String> {
            let product = Inspected::new(engine)?;
            Ok(Box::new(Broken { product, tells, goes_on, heard: Default::default() }))
        };
        let findings = findings(&policy(""), &build);
        let row = &findings.rows[&(Class::Fragmentation, "cut in two")];
        assert_eq!((row.wrong, row.slipped, row.right), (row.tried, 0, 0), "{tells} {goes_on}");
    }
}

/// A relay that tells of nothing and stops nothing is found out in detect mode too.
#[test]
fn detect_mode_must_tell() {
    let policy = Policy { mode: wsi_config::policy::Mode::Detect, ..policy("") };
    let told = findings(&policy, &product);
    assert_eq!((told.slipped(), told.wrong()), (0, 0), "{:?}", told.slips);
    let row = &told.rows[&(Class::Fragmentation, "whole")];
    assert_eq!(row.how["told"], row.tried);
    let untold = findings(&policy, &|_| Ok(Box::<PassThrough>::default()));
    let row = &untold.rows[&(Class::Fragmentation, "whole")];
    assert_eq!(row.slipped, row.tried);
}
