//! `demo`: an echo server, the inspector before it, and a few good and bad messages with what became of each.

mod echo;
mod script;

use std::{
    error::Error,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::ExitCode,
};

use wsi_config::Settings;

use crate::{bootstrap::Running, plan::Plan, report, signals::Signals};

const CONFIG: &str = include_str!("../../../../config/demo.kdl");
const SCHEMA: &str = include_str!("../../../../config/schemas/chat.json");

/// Runs the demonstration; stays up afterwards unless `once`.
///
/// # Errors
/// What keeps the inspector from starting, or a message that met another end than it should.
pub(crate) fn demo(once: bool) -> Result<ExitCode, Box<dyn Error>> {
    let signals = Signals::block()?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("schemas"))?;
    std::fs::write(folder.path().join("schemas/chat.json"), SCHEMA)?;
    let mut configuration = wsi_config::parse("config/demo.kdl", CONFIG, folder.path())?;
    let audit = folder.path().join("audit.jsonl");
    let front = adapt(&mut configuration.settings, &audit)?;

    let plan = Plan::of(configuration)?;
    let backend = plan.settings.upstreams.first().and_then(|upstream| upstream.servers.first());
    let backend = backend.ok_or("config/demo.kdl has no server")?.address;
    echo::start(backend)?;
    let block = report::startup(&plan);
    let admin = plan.settings.admin.as_ref().map(|admin| admin.bind);
    let running = Running::start(plan, None)?;
    print!("{block}");

    println!(
        "\nAn echo server is behind it. What a client sends through ws://{front}/, and what becomes of it:\n"
    );
    let result = script::play(front, &audit);
    if once || result.is_err() {
        running.drainer().drain();
        running.join()?;
        return result.map(|()| ExitCode::SUCCESS);
    }
    print_what_to_try(front, admin, &audit);
    running.run_until_signal(signals)?;
    Ok(ExitCode::SUCCESS)
}

/// Takes free ports where those of the file are in use, so that the demonstration runs on any machine.
fn adapt(settings: &mut Settings, audit: &Path) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = settings.listeners.first_mut().ok_or("config/demo.kdl has no listener")?;
    listener.bind = free(listener.bind)?;
    let front = listener.bind;
    for server in settings.upstreams.iter_mut().flat_map(|upstream| &mut upstream.servers) {
        server.address = free(server.address)?;
    }
    if let Some(admin) = &mut settings.admin {
        admin.bind = free(admin.bind)?;
    }
    if let Some(place) = &mut settings.audit {
        place.path = audit.to_owned();
    }
    Ok(front)
}

fn free(address: SocketAddr) -> std::io::Result<SocketAddr> {
    let any_port = SocketAddr::new(address.ip(), 0);
    TcpListener::bind(address).or_else(|_| TcpListener::bind(any_port))?.local_addr()
}

fn print_what_to_try(front: SocketAddr, admin: Option<SocketAddr>, audit: &Path) {
    println!("\nIt stays up. Try it yourself, with either of:\n");
    println!("  npx wscat -c ws://{front}/");
    println!("  pip install websockets && python3 -m websockets ws://{front}/");
    println!("\nThen type  {{\"type\":\"message\",\"text\":\"hello\"}}  or something worse.");
    if let Some(admin) = admin {
        println!("Counters:  curl http://{admin}/metrics");
    }
    println!("Records:   tail -f {}", audit.display());
    println!("Ctrl-C ends it.");
}
