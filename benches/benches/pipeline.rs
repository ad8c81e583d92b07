//! The cost of one message, by stage and as a whole. README.md says what each line means.

use std::{
    cell::Cell, error::Error, hint::black_box, io::Write, ops::ControlFlow, sync::Arc, time::Duration,
};

use criterion::Criterion;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use wsi_benches::{
    PROTO, SCHEMA, SIZES, client_frame, empty_policy, msgpack_order, order, policy, policy_without_sets,
    protobuf_order,
};
use wsi_inspect::{Context, Engine, Event, EventSink, Session, Transmit, Worker};
use wsi_policy::{Direction, Pattern as PolicyPattern, Policy};
use wsi_ratelimit::{Bucket, Rate};
use wsi_scan::{
    Database, Expression, Flow, Kinds, Normalizer, Pattern, PatternId, Scratch, builtin, normalize,
};
use wsi_schema::{
    json::{Document, Limits, Schema},
    msgpack,
    protobuf::{MessageType, Unknown},
    tree,
};
use wsi_ws::{Decoder, Role};

/// Time between messages: enough for the rate limit never to run dry.
const PERIOD_NS: u64 = 1_000_000;

/// What is undone by default.
const EVERYTHING: Kinds = Kinds::ESCAPES.union(Kinds::UNICODE);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
        .configure_from_args();
    decode(&mut criterion);
    utf8(&mut criterion);
    schema(&mut criterion)?;
    binary_schemas(&mut criterion)?;
    scan(&mut criterion)?;
    rate(&mut criterion);
    sessions(&mut criterion)?;
    libraries(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn decode(criterion: &mut Criterion) {
    for size in SIZES {
        let frame = client_frame(order(size).as_bytes());
        let mut input = frame.clone();
        let mut decoder = Decoder::new(Role::Client);
        criterion.bench_function(&format!("decode-unmask/{size}"), |bencher| {
            bencher.iter(|| {
                input.copy_from_slice(&frame);
                decoder.decode(black_box(&mut input))
            });
        });
    }
}

fn utf8(criterion: &mut Criterion) {
    for size in SIZES {
        let order = order(size);
        criterion.bench_function(&format!("utf8/{size}"), |bencher| {
            bencher.iter(|| simdutf8::basic::from_utf8(black_box(order.as_bytes())).is_ok());
        });
    }
}

fn schema(criterion: &mut Criterion) -> Outcome {
    let (schema, limits) = (Schema::from_text(SCHEMA, None)?, Limits::default());
    for size in SIZES {
        let order = order(size);
        let document = Document::parse(&order, &limits)?;
        schema.check(&document).map_err(|violation| violation.to_string())?;
        criterion.bench_function(&format!("json-parse/{size}"), |bencher| {
            bencher.iter(|| Document::parse(black_box(&order), &limits));
        });
        criterion.bench_function(&format!("schema-check/{size}"), |bencher| {
            bencher.iter(|| schema.check(black_box(&document)));
        });
    }
    Ok(())
}

/// MessagePack and Protobuf orders under the schema of the JSON ones, and Protobuf read by prost-reflect.
fn binary_schemas(criterion: &mut Criterion) -> Outcome {
    let (schema, limits) = (tree::Schema::from_text(SCHEMA, None)?, Limits::default());
    let kind = MessageType::from_text(PROTO, "Order")?;
    let bare = bare_protobuf()?;
    for size in SIZES {
        let (packed, proto) = (msgpack_order(size), protobuf_order(size));
        let tree = msgpack::decode(&packed, &limits, |_| {})?;
        schema.check(&tree).map_err(|violation| violation.to_string())?;
        criterion.bench_function(&format!("msgpack-decode/{size}"), |bencher| {
            bencher.iter(|| msgpack::decode(black_box(&packed), &limits, |_| {}));
        });
        criterion.bench_function(&format!("msgpack-check/{size}"), |bencher| {
            bencher.iter(|| schema.is_valid(black_box(&tree)));
        });
        criterion.bench_function(&format!("bare-rmpv/{size}"), |bencher| {
            bencher.iter(|| rmpv::decode::read_value(&mut black_box(&packed[..])));
        });
        let tree = kind.decode(&proto, &limits, Unknown::Reject, |_| {})?;
        schema.check(&tree).map_err(|violation| violation.to_string())?;
        criterion.bench_function(&format!("protobuf-verify/{size}"), |bencher| {
            bencher.iter(|| kind.verify(black_box(&proto), &limits, Unknown::Reject, |_| {}));
        });
        criterion.bench_function(&format!("protobuf-decode/{size}"), |bencher| {
            bencher.iter(|| kind.decode(black_box(&proto), &limits, Unknown::Reject, |_| {}));
        });
        criterion.bench_function(&format!("protobuf-check/{size}"), |bencher| {
            bencher.iter(|| schema.is_valid(black_box(&tree)));
        });
        criterion.bench_function(&format!("bare-prost-reflect/{size}"), |bencher| {
            bencher.iter(|| DynamicMessage::decode(bare.clone(), black_box(&proto[..])));
        });
    }
    Ok(())
}

fn bare_protobuf() -> Result<MessageDescriptor, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("order.proto");
    std::fs::write(&file, PROTO)?;
    let pool = DescriptorPool::from_file_descriptor_set(protox::compile([&file], [folder.path()])?)?;
    Ok(pool.get_message_by_name("Order").ok_or("no such message")?)
}

fn scan(criterion: &mut Criterion) -> Outcome {
    let database = Database::compile(&all_patterns()?)?;
    let mut scratch = Scratch::default();
    scratch.fit(&database)?;
    for size in SIZES {
        let order = order(size);
        let matches = Cell::new(0);
        let mut sink = |_: PatternId, _: usize| {
            matches.set(matches.get() + 1);
            Flow::Continue
        };
        criterion.bench_function(&format!("scan/{size}"), |bencher| {
            bencher.iter(|| database.scan(&mut scratch, black_box(order.as_bytes()), &mut sink));
        });
        if matches.get() > 0 {
            return Err(format!("an order of {size} bytes matches a pattern; make it match none").into());
        }
        let normalizer = Normalizer::new([EVERYTHING], normalize::DEPTH_MAX_DEFAULT);
        let mut buffers = normalize::Buffers::default();
        criterion.bench_function(&format!("normalize/{size}"), |bencher| {
            bencher.iter(|| {
                let show = |_: &[u8], _| ControlFlow::<()>::Continue(());
                normalizer.views(black_box(order.as_bytes()), &mut buffers, show)
            });
        });
    }
    Ok(())
}

fn rate(criterion: &mut Criterion) {
    let rate = Rate::new(1_000_000, 1_000_000);
    let (mut bucket, mut now_ns) = (Bucket::full(&rate, 0), 0);
    criterion.bench_function("rate-bucket", |bencher| {
        bencher.iter(|| {
            now_ns += PERIOD_NS;
            bucket.take(&rate, 1, black_box(now_ns))
        });
    });
}

fn sessions(criterion: &mut Criterion) -> Outcome {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(SCHEMA.as_bytes())?;
    session(criterion, "session-rules", &policy_without_sets(file.path()))?;
    session(criterion, "session-rules-and-sets", &policy(file.path()))?;
    session(criterion, "session-empty", &empty_policy())
}

/// A whole session: one client frame in, the re-framed message out.
fn session(criterion: &mut Criterion, name: &str, policy: &Policy) -> Outcome {
    let engine = Arc::new(Engine::compile(policy, 0)?);
    let mut worker = Worker::new([&*engine], [7; 32], Box::new(|| 0))?;
    for size in SIZES {
        let frame = client_frame(order(size).as_bytes());
        let mut input = frame.clone();
        let (mut session, mut now_ns) = (Session::new(Arc::clone(&engine), 0), 0);
        let (mut steps, mut relayed, mut verdicts) = (0u64, 0u64, Verdicts(0));
        criterion.bench_function(&format!("{name}/{size}"), |bencher| {
            bencher.iter(|| {
                now_ns += PERIOD_NS;
                input.copy_from_slice(&frame);
                let mut context = Context { now_ns, worker: &mut worker, sink: &mut verdicts };
                let step = session.handle_input(Direction::ToServer, black_box(&mut input), &mut context);
                steps += 1;
                relayed += u64::from(matches!(step.transmit, Transmit::InPlace(_)));
                step
            });
        });
        if relayed != steps || verdicts.0 > 0 {
            return Err(format!(
                "{name}: only {relayed} of {steps} messages were relayed; correct the policy"
            )
            .into());
        }
    }
    Ok(())
}

/// The libraries under the stages, called bare.
fn libraries(criterion: &mut Criterion) -> Outcome {
    let schema = Schema::from_text(SCHEMA, None)?;
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA)?)?;
    for size in SIZES {
        let order = order(size);
        let document = Document::parse(&order, &Limits::default())?;
        let value: serde_json::Value = serde_json::from_str(&order)?;
        criterion.bench_function(&format!("bare-sonic-rs/{size}"), |bencher| {
            bencher.iter(|| sonic_rs::from_str::<sonic_rs::Value>(black_box(&order)));
        });
        criterion.bench_function(&format!("bare-serde-json/{size}"), |bencher| {
            bencher.iter(|| serde_json::from_str::<serde_json::Value>(black_box(&order)));
        });
        criterion.bench_function(&format!("bare-jsonschema-tree/{size}"), |bencher| {
            bencher.iter(|| schema.is_valid(black_box(&document)));
        });
        criterion.bench_function(&format!("bare-jsonschema-serde/{size}"), |bencher| {
            bencher.iter(|| validator.is_valid(black_box(&value)));
        });
    }
    Ok(())
}

/// The patterns of the policy and the built-in sets.
fn all_patterns() -> Result<Vec<Pattern>, Box<dyn Error>> {
    let own = wsi_benches::patterns().into_iter().map(|pattern| {
        Ok(match pattern {
            PolicyPattern::Literal(text) => Expression::Literal(text.into_bytes()),
            PolicyPattern::Regex { expression, flags } => {
                Expression::Regex { expression, flags: flags.parse()? }
            }
        })
    });
    let own = own.collect::<Result<Vec<_>, wsi_scan::FlagError>>()?;
    let mut patterns: Vec<_> =
        own.into_iter().map(|expression| Pattern { id: PatternId(0), expression }).collect();
    for rule in builtin::NAMES.into_iter().filter_map(builtin::rule_set).flatten() {
        patterns.push(rule.pattern(PatternId(0))?);
    }
    for (id, pattern) in (0..).zip(&mut patterns) {
        pattern.id = PatternId(id);
    }
    Ok(patterns)
}

/// Counts what should not be.
#[derive(Debug)]
struct Verdicts(u64);

impl EventSink for Verdicts {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        self.0 += u64::from(matches!(event, Event::Verdict(_)));
    }
}
