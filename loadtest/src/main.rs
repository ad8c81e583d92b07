//! The command line of the load generator.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use wsi_loadtest::{
    AgentOptions, AgentsOptions, CompareOptions, CompressionOptions, Echo, EchoOptions, Error, IdleOptions,
    NamedAgent, PayloadKind, RunOptions, agent, agents, compare, compression, idle, run,
};

/// Load for WebSocket relays.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Echo(EchoArgs),
    Run(RunArgs),
    Idle(IdleArgs),
    Compare(CompareArgs),
    Compression(CompressionArgs),
    Agent(AgentArgs),
    Agents(AgentsArgs),
}

/// Serve: send each message back, up to 16 MiB
#[derive(Args)]
struct EchoArgs {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9001")]
    bind: SocketAddr,
    /// Event loops
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Accept permessage-deflate
    #[arg(long)]
    deflate: bool,
}

/// Load an echo server, directly or through a relay; check every echo
#[derive(Args)]
struct RunArgs {
    /// ws://HOST:PORT/PATH
    #[arg(long)]
    url: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Messages in flight on each connection
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Bytes of a message
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Measured time
    #[arg(long, default_value = "5", value_parser = seconds)]
    duration_s: Duration,
    /// Load before the measured time
    #[arg(long, default_value = "1", value_parser = seconds)]
    warmup_s: Duration,
    #[arg(long, value_enum, default_value = "json")]
    payload: Payload,
    /// Offer permessage-deflate, and compress where it is accepted
    #[arg(long)]
    deflate: bool,
    /// Processes whose CPU time is told, such as the relay's
    #[arg(long, num_args = 1..)]
    pid: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Open idle connections, hold them, check that they live; tell what they cost
#[derive(Args)]
struct IdleArgs {
    /// ws://HOST:PORT/PATH
    #[arg(long)]
    url: String,
    #[arg(long, default_value_t = 9000)]
    connections: usize,
    #[arg(long, default_value = "10", value_parser = seconds)]
    hold_s: Duration,
    /// Processes whose memory and CPU time are told, such as the relay's
    #[arg(long, num_args = 1..)]
    pid: Vec<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measure relays side by side: HAProxy, the inspector with and without rules, no relay
#[derive(Args)]
struct CompareArgs {
    /// The websocket-inspector binary; without it, HAProxy alone
    #[arg(long)]
    inspector: Option<PathBuf>,
    /// Inspector configuration with @LISTEN@ and @UPSTREAM@, in place of the generated one
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long, default_value = "/usr/sbin/haproxy")]
    haproxy: PathBuf,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measured time of each relay in each round
    #[arg(long, default_value = "2", value_parser = seconds)]
    round_s: Duration,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Messages in flight on each connection; several allowed
    #[arg(long, num_args = 1.., default_values_t = [1, 16])]
    in_flight: Vec<usize>,
    /// Bytes of a message
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// The CPU of the relays
    #[arg(long, default_value_t = 1)]
    relay_cpu: usize,
    /// The CPU of load and echo server
    #[arg(long, default_value_t = 0)]
    load_cpu: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measure what terminating permessage-deflate costs beside stripping it
#[derive(Args)]
struct CompressionArgs {
    /// The websocket-inspector binary
    #[arg(long)]
    inspector: PathBuf,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measured time of each in each round
    #[arg(long, default_value = "2", value_parser = seconds)]
    round_s: Duration,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Bytes of a message; several allowed
    #[arg(long, num_args = 1.., default_values_t = [256, 4096])]
    size: Vec<usize>,
    /// How long connections are idle before memory is looked at again
    #[arg(long, default_value = "65", value_parser = seconds)]
    hold_s: Duration,
    /// The CPU of the inspector
    #[arg(long, default_value_t = 1)]
    relay_cpu: usize,
    /// The CPU of load and echo server
    #[arg(long, default_value_t = 0)]
    load_cpu: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Ask an agent about benign frames over its unix socket, as a Sentinel proxy does; check that it allows them
#[derive(Args)]
struct AgentArgs {
    #[arg(long)]
    socket: PathBuf,
    /// The protocol's version
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    protocol: u8,
    /// Connections, each with one event in flight; several allowed
    #[arg(long, num_args = 1.., default_values_t = [1, 8])]
    connections: Vec<usize>,
    /// Bytes of a frame's payload; several allowed
    #[arg(long, num_args = 1.., default_values_t = [64, 1024, 16_384, 262_144])]
    size: Vec<usize>,
    /// Measured time of each
    #[arg(long, default_value = "2", value_parser = seconds)]
    duration_s: Duration,
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    warmup_s: Duration,
    /// Processes whose CPU time is told, such as the agent's
    #[arg(long, num_args = 1..)]
    pid: Vec<u32>,
    /// Print JSON, a line for each
    #[arg(long)]
    json: bool,
}

/// Ask agents in turn, round by round, and compare them with the first
#[derive(Args)]
struct AgentsArgs {
    /// NAME,SOCKET,PROTOCOL,PID of a running agent; several allowed
    #[arg(long = "agent", num_args = 1.., required = true, value_parser = named_agent)]
    agents: Vec<NamedAgent>,
    /// Connections, each with one event in flight; several allowed
    #[arg(long, num_args = 1.., default_values_t = [1, 8])]
    connections: Vec<usize>,
    /// Bytes of a frame's payload; several allowed
    #[arg(long, num_args = 1.., default_values_t = [64, 1024, 16_384, 262_144])]
    size: Vec<usize>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measured time of each agent in each round
    #[arg(long, default_value = "1", value_parser = seconds)]
    round_s: Duration,
    #[arg(long, default_value = "0.2", value_parser = seconds)]
    warmup_s: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Payload {
    Json,
    Notes,
    Text,
    Binary,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Echo(args) => serve(&args),
        Command::Run(args) => measure(args),
        Command::Idle(args) => hold(args),
        Command::Compare(args) => race(args),
        Command::Compression(args) => compress(args),
        Command::Agent(args) => ask(&args),
        Command::Agents(args) => ask_in_turn(args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &EchoArgs) -> Result<ExitCode, Error> {
    let echo = Echo::start(&EchoOptions { bind: args.bind, threads: args.threads, deflate: args.deflate })?;
    println!("echo server on {}; end it with Ctrl-C", echo.url());
    echo.wait()?;
    Ok(ExitCode::SUCCESS)
}

fn measure(args: RunArgs) -> Result<ExitCode, Error> {
    let report = run(&RunOptions {
        url: args.url,
        connections: args.connections,
        in_flight: args.in_flight,
        size: args.size,
        payload: match args.payload {
            Payload::Json => PayloadKind::Json,
            Payload::Notes => PayloadKind::Notes,
            Payload::Text => PayloadKind::Text,
            Payload::Binary => PayloadKind::Binary,
        },
        deflate: args.deflate,
        warmup: args.warmup_s,
        duration: args.duration_s,
        pids: args.pid,
    })?;
    if args.json {
        println!("{}", report.to_json())
    } else {
        print!("{report}")
    }
    Ok(ExitCode::SUCCESS)
}

fn hold(args: IdleArgs) -> Result<ExitCode, Error> {
    let options =
        IdleOptions { url: args.url, connections: args.connections, hold: args.hold_s, pids: args.pid };
    let report = idle(&options)?;
    if args.json {
        println!("{}", report.to_json())
    } else {
        print!("{report}")
    }
    Ok(if report.alive == report.connections { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(args: &AgentArgs) -> Result<ExitCode, Error> {
    for &connections in &args.connections {
        for &size in &args.size {
            let report = agent(&AgentOptions {
                socket: args.socket.clone(),
                version: args.protocol,
                connections,
                size,
                warmup: args.warmup_s,
                duration: args.duration_s,
                pids: args.pid.clone(),
            })?;
            if args.json { println!("{}", report.to_json()) } else { print!("{report}") }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask_in_turn(args: AgentsArgs) -> Result<ExitCode, Error> {
    let report = agents(&AgentsOptions {
        agents: args.agents,
        connections: args.connections,
        sizes: args.size,
        rounds: args.rounds,
        warmup: args.warmup_s,
        duration: args.round_s,
    })?;
    if args.json {
        println!("{}", report.to_json())
    } else {
        print!("{report}")
    }
    Ok(ExitCode::SUCCESS)
}

fn race(args: CompareArgs) -> Result<ExitCode, Error> {
    let report = compare(&CompareOptions {
        haproxy: args.haproxy,
        inspector: args.inspector,
        config: args.config,
        connections: args.connections,
        depths: args.in_flight,
        size: args.size,
        rounds: args.rounds,
        duration: args.round_s,
        relay_cpu: args.relay_cpu,
        load_cpu: args.load_cpu,
        ..CompareOptions::default()
    })?;
    if args.json {
        println!("{}", report.to_json())
    } else {
        print!("{report}")
    }
    Ok(ExitCode::SUCCESS)
}

fn compress(args: CompressionArgs) -> Result<ExitCode, Error> {
    let report = compression(&CompressionOptions {
        inspector: args.inspector,
        connections: args.connections,
        sizes: args.size,
        rounds: args.rounds,
        duration: args.round_s,
        hold: args.hold_s,
        relay_cpu: args.relay_cpu,
        load_cpu: args.load_cpu,
        ..CompressionOptions::default()
    })?;
    if args.json {
        println!("{}", report.to_json())
    } else {
        print!("{report}")
    }
    Ok(ExitCode::SUCCESS)
}

/// A day at the most: longer is a slip of the finger.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "write seconds from 0 to 86400, as 5 or 0.5".to_owned())
}

fn named_agent(text: &str) -> Result<NamedAgent, String> {
    let parts: Vec<_> = text.split(',').collect();
    let parsed = match *parts {
        [name, socket, version @ ("1" | "2"), pid] => pid.parse().ok().map(|pid| NamedAgent {
            name: name.to_owned(),
            socket: socket.into(),
            version: if version == "1" { 1 } else { 2 },
            pid,
        }),
        _ => None,
    };
    parsed.ok_or_else(|| "write NAME,SOCKET,PROTOCOL,PID, as guard,/run/guard.sock,2,4711".to_owned())
}
