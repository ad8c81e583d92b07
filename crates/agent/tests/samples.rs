//! What a real proxy sent, byte for byte (`samples/`), and what it was seen to accept.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path};

use serde_json::{Value, json};
use support::{Agent, answer, policy};
use wsi_agent::Link;

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    fs::read(folder.join(name)).unwrap()
}

fn zentinel(name: &str) -> Vec<u8> {
    sample(&format!("zentinel-0.6.54/{name}.bin"))
}

/// The body of an event, past its length and type.
fn body(bytes: &[u8]) -> Value {
    serde_json::from_slice(&bytes[5..]).unwrap()
}

/// Without the configuration that this proxy was set up with, which was made up.
fn shake_hands(agent: &mut Agent) -> Link {
    let mut hello = body(&zentinel("in-handshake_request-00"));
    hello["config"] = json!(null);
    let mut link = Link::new(&agent.sessions);
    let ours = agent.send(&mut link, &support::v2(0x01, hello.to_string().as_bytes())).unwrap();
    let theirs = body(&zentinel("out-handshake_response-00"));
    let ours = body(&ours);
    for part in ["/capabilities/features", "/capabilities/limits", "/capabilities", ""] {
        let keys = |value: &Value| -> Vec<String> {
            value.pointer(part).unwrap().as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(&ours), keys(&theirs), "{part}");
    }
    assert_eq!((&ours["success"], &ours["encoding"]), (&json!(true), &json!("json")));
    link
}

#[test]
fn a_websocket_of_a_real_proxy() {
    let mut agent = Agent::new(&policy());
    let mut links: Vec<_> = (0..4).map(|_| shake_hands(&mut agent)).collect();
    let events = ["request_headers-00", "response_headers-00"].map(str::to_owned);
    let frames = (0..9).map(|i| format!("websocket_frame-{i:02}"));
    for (i, name) in events.into_iter().chain(frames).enumerate() {
        let event = zentinel(&format!("in-{name}"));
        // Consecutive events come over different connections.
        let bytes = agent.send(&mut links[i % 4], &event).unwrap();
        let answer = answer(&bytes);
        assert_eq!(answer["version"], json!(2), "{name}");
        assert_eq!(answer["decision"], json!("allow"), "{name}");
        assert_eq!(answer["audit"]["custom"]["correlation_id"], body(&event)["correlation_id"], "{name}");
        if name.starts_with("websocket") {
            assert_eq!(answer["websocket_decision"], json!("allow"), "{name}");
        }
    }
    assert_eq!(agent.told.0[..2], ["handshake 101", "open"]);
    assert!(agent.told.0.iter().all(|told| !told.contains("Close")), "{:?}", agent.told.0);
}

#[test]
fn the_configuration_of_a_real_proxy_is_handed_out() {
    let mut agent = Agent::new(&policy());
    let mut link = shake_hands(&mut agent);
    let mut event = zentinel("in-configure-00");
    let (mut framing, mut out) = (wsi_agent::Framing::default(), Vec::new());
    let wsi_agent::Next::Message(envelope) = framing.next(&event).unwrap() else { panic!() };
    let mut context = wsi_agent::Context {
        now_ns: 0,
        arrived_ns: u64::MAX,
        is_memory_full: false,
        worker: &mut agent.worker,
        records: &mut agent.told,
    };
    let handled = link.handle(&envelope, &mut event, &mut agent.sessions, &mut out, &mut context).unwrap();
    let wsi_agent::Handled::Configure(config) = handled else { panic!("{handled:?}") };
    assert_eq!(serde_json::from_str::<Value>(&config).unwrap()["deny"], json!(["alpha", "beta"]));
    assert!(link.is_waiting() && out.is_empty());
    link.configured(Err("unknown name `deny`".into()), &mut agent.sessions, &mut out);
    let answer = answer(&out);
    assert_eq!(answer["decision"]["block"]["body"], json!("unknown name `deny`"));
    assert_eq!(answer["audit"]["custom"]["correlation_id"], json!("zentinel-configure-ws-0"));
}

#[test]
fn a_request_that_the_lab_blocked_is_judged_by_the_policy() {
    let mut agent = Agent::new(&policy());
    let mut link = shake_hands(&mut agent);
    let bytes = agent.send(&mut link, &zentinel("in-request_headers-05")).unwrap();
    let theirs = body(&zentinel("out-agent_response-05"));
    let keys: Vec<_> = answer(&bytes).as_object().unwrap().keys().cloned().collect();
    assert!(keys.iter().all(|key| theirs.get(key).is_some()), "{keys:?}");
}

#[test]
fn version_1_is_told_by_the_fifth_byte() {
    let mut agent = Agent::new(&policy());
    let mut link = Link::new(&agent.sessions);
    let bytes = agent.send(&mut link, &sample("v1-web_socket_frame-request.bin")).unwrap();
    let ours: Value = serde_json::from_slice(&bytes[4..]).unwrap();
    assert_eq!(ours, json!({ "version": 1, "decision": "allow", "websocket_decision": "allow" }));
    let theirs: Value = serde_json::from_slice(&sample("v1-allow-response.bin")[4..]).unwrap();
    for key in ["version", "decision", "websocket_decision"] {
        assert_eq!(ours[key], theirs[key]);
    }
}
