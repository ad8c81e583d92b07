//! Any bytes from a proxy, in any split: the agent never panics, says the same for any split, holds no more than its limits, and
//! never lets a whole message pass that holds what the policy forbids.
#![no_main]

use std::{cell::RefCell, sync::Arc};

use libfuzzer_sys::fuzz_target;
use wsi_agent::{Context, Framing, Handled, Link, Next, Peer, Records, Sessions, SessionsOptions};
use wsi_inspect::{Engine, Event, EventSink, Worker};
use wsi_policy::{Action, CloseCode, ContentFilter, Directions, Limits, Pattern, Policy};

const MESSAGE_SIZE_MAX: u64 = 600;
const SESSIONS_MAX: usize = 3;

thread_local! {
    static BENCH: RefCell<(Arc<Engine>, Worker)> = RefCell::new(bench());
}

// The first byte says how the rest is split.
fuzz_target!(|input: &[u8]| {
    let Some((&choice, stream)) = input.split_first() else { return };
    BENCH.with_borrow_mut(|(engine, worker)| {
        let whole = talk(engine, worker, stream, usize::MAX);
        let pieces = talk(engine, worker, stream, usize::from(choice) + 1);
        assert_eq!(whole, pieces);
    });
});

fn bench() -> (Arc<Engine>, Worker) {
    let policy = Policy {
        name: "fuzz".into(),
        events: wsi_policy::EventKind::ALL.into_iter().collect(),
        timeout_ms: 50,
        limits: Limits { message_size_max: MESSAGE_SIZE_MAX, fragments_max: 6, ..Limits::default() },
        content_filters: vec![ContentFilter {
            name: "content-filter-1".into(),
            patterns: vec![Pattern::Literal("<x>".into())],
            rule_sets: Vec::new(),
            directions: Directions::Both,
            normalize: wsi_policy::Normalize::default(),
            action: Action::Close(CloseCode::POLICY_VIOLATION),
            redact_with: None,
            reply: None,
            message_size_max: None,
        }],
        ..Policy::default()
    };
    let engine = Arc::new(Engine::compile(&policy, 0).expect("the policy here is right"));
    let worker = Worker::new([&*engine], [7; 32], Box::new(|| 0)).expect("there is memory for scratch");
    (engine, worker)
}

#[derive(Debug, Default, PartialEq)]
struct Told {
    closes: usize,
}

impl EventSink for &mut Told {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        self.closes += usize::from(matches!(event, Event::Close { .. }));
    }
}

impl Records for Told {
    fn sink(&mut self, _: Peer) -> impl EventSink {
        self
    }
}

/// What the agent writes, and whether it gave the connection up.
fn talk(engine: &Arc<Engine>, worker: &mut Worker, stream: &[u8], size: usize) -> (Vec<u8>, bool, Told) {
    let options =
        SessionsOptions { engine: Arc::clone(engine), sessions_max: SESSIONS_MAX, age_max_ns: None };
    let mut sessions = Sessions::new(options);
    let mut link = Link::new(&sessions);
    let (mut framing, mut held, mut out, mut told) =
        (Framing::default(), Vec::new(), Vec::new(), Told::default());
    for chunk in stream.chunks(size) {
        held.extend_from_slice(chunk);
        loop {
            let envelope = match framing.next(&held) {
                Ok(Next::Message(envelope)) => envelope,
                Ok(Next::More(wanted)) => {
                    assert!(wanted > held.len());
                    break;
                }
                Err(_) => return (out, true, told),
            };
            let mut context =
                Context { now_ns: 0, arrived_ns: 0, is_memory_full: false, worker, records: &mut told };
            match link.handle(&envelope, &mut held, &mut sessions, &mut out, &mut context) {
                Ok(Handled::Done) => assert!(!link.is_waiting()),
                Ok(Handled::Configure(_)) => link.configured(Err("no".into()), &mut sessions, &mut out),
                Err(_) => return (out, true, told),
            }
            held.drain(..envelope.size);
            assert!(sessions.len() <= SESSIONS_MAX);
            assert!(sessions.buffered_size() <= SESSIONS_MAX * 2 * (MESSAGE_SIZE_MAX as usize + 14));
        }
    }
    (out, false, told)
}
