//! The messages of the demonstration, and how each of them should end.

use std::{
    error::Error,
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use tungstenite::{Message, WebSocket};

/// How long anything may take before the demonstration gives up.
const PATIENCE: Duration = Duration::from_secs(10);

struct Scene {
    what: &'static str,
    message: String,
    /// How often it is sent.
    count: usize,
    /// The close code that it should end with; `None`: it should come back.
    code: Option<u16>,
}

fn scenes() -> Vec<Scene> {
    let scene = |what, message: &str, count, code| Scene { what, message: message.to_owned(), count, code };
    vec![
        scene("a message", r#"{"type":"message","text":"hello"}"#, 1, None),
        scene("code in prose", r#"{"type":"message","text":"if (a < b && c > d) it's fine"}"#, 1, None),
        scene("not JSON", "hello", 1, Some(1007)),
        scene("not in the schema", r#"{"type":"message","text":"hi","admin":true}"#, 1, Some(1007)),
        scene("a blocked pattern", r#"{"type":"message","text":"eval(1)"}"#, 1, Some(1008)),
        scene(
            "a script, escaped",
            r#"{"type":"message","text":"\u003cscript\u003ealert(1)\u003c/script\u003e"}"#,
            1,
            Some(1008),
        ),
        scene("SQL injection", r#"{"type":"message","text":"x' OR '1'='1' --"}"#, 1, Some(1008)),
        scene("100 KiB", &"x".repeat(100 << 10), 1, Some(1009)),
        scene("60 at once", r#"{"type":"message","text":"spam"}"#, 60, Some(1008)),
    ]
}

/// Plays all scenes through the inspector at `front` and prints what became of each.
///
/// # Errors
/// A message that met another end than it should.
pub(super) fn play(front: SocketAddr, audit: &Path) -> Result<(), Box<dyn Error>> {
    println!("  {:<18} {:<58} {:<24} RULE", "", "SENT", "CAME BACK");
    let mut verdicts = 0;
    for scene in scenes() {
        let end = perform(front, &scene)?;
        let rule = match end {
            End::Echoed => String::from("-"),
            End::Closed(_) => {
                verdicts += 1;
                rule(audit, verdicts)?
            }
        };
        println!("  {:<18} {:<58} {:<24} {rule}", scene.what, shortened(&scene.message), end.describe());
        let code = match end {
            End::Echoed => None,
            End::Closed(code) => Some(code),
        };
        if code != scene.code {
            return Err(format!("{}: that is not what should become of it", scene.what).into());
        }
    }
    Ok(())
}

enum End {
    Echoed,
    Closed(u16),
}

impl End {
    fn describe(&self) -> String {
        match self {
            Self::Echoed => "itself".into(),
            Self::Closed(code) => format!("close {code}"),
        }
    }
}

fn perform(front: SocketAddr, scene: &Scene) -> Result<End, Box<dyn Error>> {
    let mut socket = connect(front)?;
    for _ in 0..scene.count {
        // The inspector may close before all is written; what it says is read below.
        if socket.write(Message::text(scene.message.clone())).is_err() {
            break;
        }
    }
    let _ = socket.flush();
    let mut echoed = 0;
    while echoed < scene.count {
        match socket.read() {
            Ok(Message::Text(text)) if text.as_str() == scene.message => echoed += 1,
            Ok(Message::Close(Some(close))) => return Ok(End::Closed(close.code.into())),
            Ok(other) => return Err(format!("{}: came back as {other:?}", scene.what).into()),
            Err(error) => return Err(format!("{}: {error}", scene.what).into()),
        }
    }
    let _ = socket.close(None);
    Ok(End::Echoed)
}

fn connect(front: SocketAddr) -> Result<WebSocket<TcpStream>, Box<dyn Error>> {
    let stream = TcpStream::connect(front)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (socket, _) =
        tungstenite::client(format!("ws://{front}/"), stream).map_err(|error| error.to_string())?;
    Ok(socket)
}

/// The rule in the audit record of the `count`th verdict.
fn rule(audit: &Path, count: usize) -> Result<String, Box<dyn Error>> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let records = std::fs::read_to_string(audit)?;
        let verdict = records
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|record| record["event"] == "verdict")
            .nth(count - 1);
        if let Some(verdict) = verdict {
            return Ok(verdict["rule"].as_str().unwrap_or_default().to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err("no audit record was written".into())
}

fn shortened(text: &str) -> String {
    const WIDTH: usize = 57;
    if text.len() <= WIDTH {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(WIDTH - 1).collect::<String>())
    }
}
