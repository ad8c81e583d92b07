//! What a message costs in each validator, beside the libraries under it called plainly, by turns in one run.
//! README.md says what the rows mean.

use std::{
    env,
    error::Error,
    hint::black_box,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use rustix::time::{ClockId, clock_gettime};
use wsi_benches::{
    BATCH_PROTO, BATCH_SCHEMA, PROTO, SCHEMA, batch, client_frame, order, policy_without_sets,
};
use wsi_inspect::{Context, Engine, Event, EventSink, Session, Transmit, Worker};
use wsi_policy::{Direction, Pattern as PolicyPattern};
use wsi_ratelimit::{Bucket, Rate};
use wsi_scan::{Database, Expression, Flow, Pattern, PatternId, Scratch};
use wsi_schema::{
    json::{self, Document, Limits},
    msgpack,
    protobuf::{MessageType, Unknown},
    tree,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Inspects one message; `false`: it was refused, and the figure would be worth nothing.
type Contender = Box<dyn FnMut() -> bool>;

/// Makes what inspects a message of so many bytes here, and what stands beside.
type Make = fn(usize) -> Outcome<[Contender; 2]>;

const SIZES: [usize; 2] = [256, 4096];
const ROUNDS: usize = 31;
const SLICE: Duration = Duration::from_millis(8);

/// How many messages instructions are counted over, and how many come before.
const COUNTED: u64 = 4_000;
const WARM_UP: u64 = 1_000;

/// Says to this program, run by valgrind: a row, a contender and how many messages.
const COUNT: &str = "--count";

fn main() -> Outcome {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [flag, row, contender, messages] = &arguments[..]
        && flag == COUNT
    {
        return count(row.parse()?, contender.parse()?, messages.parse()?);
    }
    let filter = arguments.iter().find(|it| !it.starts_with('-')).map_or("", String::as_str);
    let has_valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok();
    println!(
        "| validator and message | bytes | here | plain | times plain (spread) | instructions here | plain | times |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (at, row) in rows().iter().enumerate().filter(|(_, row)| row.name.contains(filter)) {
        let contenders = row.contenders()?;
        let [here, plain, ratio, low, high] = measure(contenders)?;
        let counted = if has_valgrind { instructions(at)? } else { ["-", "-", "-"].map(str::to_owned) };
        let [counted_here, counted_plain, counted_ratio] = counted;
        println!(
            "| {} | {} | {here:.0} ns | {plain:.0} ns | {ratio:.2} ({low:.2} to {high:.2}) | {counted_here} | {counted_plain} | {counted_ratio} |",
            row.name, row.size
        );
    }
    if !has_valgrind {
        println!("\nInstructions are counted where valgrind is installed.");
    }
    Ok(())
}

/// A kind of message in one size: what inspects it here, and what stands beside.
struct Row {
    name: &'static str,
    size: usize,
    make: Make,
}

impl Row {
    fn contenders(&self) -> Outcome<[Contender; 2]> {
        let mut contenders = (self.make)(self.size)?;
        match contenders.iter_mut().position(|contender| !contender()) {
            Some(at) => Err(format!("{}: contender {at} refuses the message", self.name).into()),
            None => Ok(contenders),
        }
    }
}

fn rows() -> Vec<Row> {
    let kinds: [(&str, Make); 9] = [
        ("JSON order, beside the calls apart", |size| json_apart(Shape::Order, size)),
        ("JSON order", |size| json(Shape::Order, size)),
        ("JSON batch, beside the calls apart", |size| json_apart(Shape::Batch, size)),
        ("JSON batch", |size| json(Shape::Batch, size)),
        ("MessagePack order", |size| messagepack(Shape::Order, size)),
        ("MessagePack batch", |size| messagepack(Shape::Batch, size)),
        ("Protobuf order", |size| protobuf(Shape::Order, size)),
        ("Protobuf batch", |size| protobuf(Shape::Batch, size)),
        ("whole inspection of a JSON order", whole),
    ];
    kinds.into_iter().flat_map(|(name, make)| SIZES.map(|size| Row { name, size, make })).collect()
}

/// A few values with a long text, or many small values.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Order,
    Batch,
}

impl Shape {
    fn schema(self) -> &'static str {
        match self {
            Self::Order => SCHEMA,
            Self::Batch => BATCH_SCHEMA,
        }
    }

    fn message_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Order => (PROTO, "Order"),
            Self::Batch => (BATCH_PROTO, "Batch"),
        }
    }

    fn json(self, size: usize) -> Outcome<String> {
        match self {
            Self::Order => Ok(order(size)),
            Self::Batch => Ok(String::from_utf8(batch(size, |json| json.as_bytes().to_vec()))?),
        }
    }

    fn messagepack(self, size: usize) -> Vec<u8> {
        let encode = |json: &str| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
            rmp_serde::to_vec(&value).unwrap_or_default()
        };
        match self {
            Self::Order => wsi_benches::msgpack_order(size),
            Self::Batch => batch(size, encode),
        }
    }

    fn protobuf(self, size: usize) -> Outcome<Vec<u8>> {
        let descriptor = self.descriptor()?;
        let encode = |json: &str| {
            let mut reader = serde_json::Deserializer::from_str(json);
            let message = DynamicMessage::deserialize(descriptor.clone(), &mut reader);
            message.map(|it| prost_reflect::prost::Message::encode_to_vec(&it)).unwrap_or_default()
        };
        Ok(match self {
            Self::Order => wsi_benches::protobuf_order(size),
            Self::Batch => batch(size, encode),
        })
    }

    fn descriptor(self) -> Outcome<MessageDescriptor> {
        let (text, name) = self.message_type();
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("message.proto");
        std::fs::write(&file, text)?;
        let pool = DescriptorPool::from_file_descriptor_set(protox::compile([&file], [folder.path()])?)?;
        Ok(pool.get_message_by_name(name).ok_or("no such message")?)
    }

    fn validator(self) -> Outcome<jsonschema::Validator> {
        Ok(jsonschema::validator_for(&serde_json::from_str(self.schema())?)?)
    }
}

/// Beside a program that has to fit the two libraries together: sonic-rs into the value that jsonschema reads.
fn json(shape: Shape, size: usize) -> Outcome<[Contender; 2]> {
    let (text, validator) = (shape.json(size)?, shape.validator()?);
    let plain = move || {
        sonic_rs::from_str::<serde_json::Value>(black_box(&text)).is_ok_and(|it| validator.is_valid(&it))
    };
    Ok([json_here(shape, size)?, Box::new(plain)])
}

/// Beside what each library does fastest, though the one can't read the other's value: sonic-rs into its own, and jsonschema over
/// one of serde_json that is there already.
fn json_apart(shape: Shape, size: usize) -> Outcome<[Contender; 2]> {
    let (text, validator) = (shape.json(size)?, shape.validator()?);
    let ready: serde_json::Value = serde_json::from_str(&text)?;
    let plain = move || {
        sonic_rs::from_str::<sonic_rs::Value>(black_box(&text)).is_ok()
            && validator.is_valid(black_box(&ready))
    };
    Ok([json_here(shape, size)?, Box::new(plain)])
}

fn json_here(shape: Shape, size: usize) -> Outcome<Contender> {
    let (text, limits) = (shape.json(size)?, Limits::default());
    let schema = json::Schema::from_text(shape.schema(), None)?;
    Ok(Box::new(move || Document::parse(black_box(&text), &limits).is_ok_and(|it| schema.is_valid(&it))))
}

fn messagepack(shape: Shape, size: usize) -> Outcome<[Contender; 2]> {
    let (bytes, limits) = (shape.messagepack(size), Limits::default());
    let (schema, validator) = (tree::Schema::from_text(shape.schema(), None)?, shape.validator()?);
    let again = bytes.clone();
    let here =
        move || msgpack::decode(black_box(&bytes), &limits, |_| {}).is_ok_and(|it| schema.is_valid(&it));
    let plain = move || {
        rmp_serde::from_slice::<serde_json::Value>(black_box(&again)).is_ok_and(|it| validator.is_valid(&it))
    };
    Ok([Box::new(here), Box::new(plain)])
}

fn protobuf(shape: Shape, size: usize) -> Outcome<[Contender; 2]> {
    let (bytes, limits) = (shape.protobuf(size)?, Limits::default());
    let (text, name) = shape.message_type();
    let kind = MessageType::from_text(text, name)?;
    let (schema, validator) = (tree::Schema::from_text(shape.schema(), None)?, shape.validator()?);
    let (descriptor, again) = (shape.descriptor()?, bytes.clone());
    let here = move || {
        kind.decode(black_box(&bytes), &limits, Unknown::Reject, |_| {}).is_ok_and(|it| schema.is_valid(&it))
    };
    let plain = move || {
        let Ok(message) = DynamicMessage::decode(descriptor.clone(), black_box(&again[..])) else {
            return false;
        };
        serde_json::to_value(&message).is_ok_and(|it| validator.is_valid(&it))
    };
    Ok([Box::new(here), Box::new(plain)])
}

/// A session under schema, 200 patterns and a rate limit, from a client's frame to the frame that leaves; beside it the libraries
/// on the bare message.
fn whole(size: usize) -> Outcome<[Contender; 2]> {
    Ok([session(size)?, bare(size)?])
}

fn session(size: usize) -> Outcome<Contender> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), SCHEMA)?;
    let engine = Arc::new(Engine::compile(&policy_without_sets(file.path()), 0)?);
    let mut worker = Worker::new([&*engine], [7; 32], Box::new(|| 0))?;
    let mut session = Session::new(engine, 0);
    let frame = client_frame(order(size).as_bytes());
    let (mut input, mut now_ns) = (frame.clone(), 0);
    Ok(Box::new(move || {
        now_ns += PERIOD_NS;
        input.copy_from_slice(&frame);
        let mut sink = Verdicts(0);
        let mut context = Context { now_ns, worker: &mut worker, sink: &mut sink };
        let step = session.handle_input(Direction::ToServer, black_box(&mut input), &mut context);
        let passed = matches!(black_box(step).transmit, Transmit::InPlace(_));
        passed && sink.0 == 0
    }))
}

/// UTF-8, sonic-rs, jsonschema, Hyperscan over the same patterns, and a bucket: each called once.
fn bare(size: usize) -> Outcome<Contender> {
    let (text, validator, database) =
        (order(size), Shape::Order.validator()?, Database::compile(&patterns()?)?);
    let ready: serde_json::Value = serde_json::from_str(&text)?;
    let mut scratch = Scratch::default();
    scratch.fit(&database)?;
    let (rate, mut now_ns) = (Rate::new(1_000_000, 1_000_000), 0);
    let mut bucket = Bucket::full(&rate, 0);
    Ok(Box::new(move || {
        now_ns += PERIOD_NS;
        let mut matches = 0;
        let mut sink = |_: PatternId, _: usize| {
            matches += 1;
            Flow::Continue
        };
        let Ok(text) = simdutf8::basic::from_utf8(black_box(text.as_bytes())) else { return false };
        sonic_rs::from_str::<sonic_rs::Value>(text).is_ok()
            && validator.is_valid(black_box(&ready))
            && database.scan(&mut scratch, text.as_bytes(), &mut sink).is_ok()
            && bucket.take(&rate, 1, now_ns)
            && matches == 0
    }))
}

/// Time between messages: enough for the rate limit never to run dry.
const PERIOD_NS: u64 = 1_000_000;

fn patterns() -> Outcome<Vec<Pattern>> {
    let patterns = (0..).zip(wsi_benches::patterns()).map(|(id, pattern)| {
        let expression = match pattern {
            PolicyPattern::Literal(text) => Expression::Literal(text.into_bytes()),
            PolicyPattern::Regex { expression, flags } => {
                Expression::Regex { expression, flags: flags.parse()? }
            }
        };
        Ok(Pattern { id: PatternId(id), expression })
    });
    patterns.collect()
}

/// Nanoseconds of a message here and plain, and the ratio with its lower and upper quartile. The contenders take turns, so that what else
/// the machine does falls on both.
fn measure(mut contenders: [Contender; 2]) -> Outcome<[f64; 5]> {
    let batches = contenders.each_mut().map(|contender| batch_of(contender, SLICE));
    let (mut times, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..ROUNDS {
        let mut of_round = [0.0; 2];
        for turn in 0..2 {
            let at = (round + turn) % 2;
            of_round[at] = time(&mut contenders[at], batches[at]) / batches[at] as f64;
        }
        ratios.push(of_round[0] / of_round[1]);
        times.iter_mut().zip(of_round).for_each(|(times, time)| times.push(time));
    }
    let [here, plain] = times.map(|mut times| quantile(&mut times, 2));
    Ok([here, plain, quantile(&mut ratios, 2), quantile(&mut ratios, 1), quantile(&mut ratios, 3)])
}

/// How many messages take about `slice`.
fn batch_of(contender: &mut Contender, slice: Duration) -> u64 {
    let mut messages = 64;
    loop {
        let taken_ns = time(contender, messages);
        if taken_ns * 4.0 >= slice.as_nanos() as f64 {
            return (messages as f64 * slice.as_nanos() as f64 / taken_ns) as u64;
        }
        messages *= 2;
    }
}

fn time(contender: &mut Contender, messages: u64) -> f64 {
    let begun_ns = cpu_ns();
    for _ in 0..messages {
        black_box(contender());
    }
    (cpu_ns() - begun_ns) as f64
}

/// What this thread has worked, without the time that others had its core.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn quantile(values: &mut [f64], quarter: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * quarter / 4]
}

/// Instructions of a message here and plain, as valgrind counts them, and the ratio.
fn instructions(row: usize) -> Outcome<[String; 3]> {
    let mut of_message = [0.0; 2];
    for (contender, each) in of_message.iter_mut().enumerate() {
        let both = collected(row, contender, WARM_UP + COUNTED)?;
        *each = (both - collected(row, contender, WARM_UP)?) as f64 / COUNTED as f64;
    }
    let [here, plain] = of_message;
    Ok([format!("{here:.0}"), format!("{plain:.0}"), format!("{:.2}", here / plain)])
}

fn collected(row: usize, contender: usize, messages: u64) -> Outcome<i64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([COUNT.to_owned(), row.to_string(), contender.to_string(), messages.to_string()])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    Ok(line.ok_or_else(|| format!("valgrind counted nothing: {told}"))?.parse()?)
}

fn count(row: usize, contender: usize, messages: u64) -> Outcome {
    let rows = rows();
    let contenders = rows.get(row).ok_or("no such row")?.contenders()?;
    let mut contender = contenders.into_iter().nth(contender).ok_or("no such contender")?;
    (0..messages).for_each(|_| _ = black_box(contender()));
    Ok(())
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
