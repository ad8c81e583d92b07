//! Configurations of the relays, written into a temporary folder.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::relay::Launch;
use crate::Error;

const PATTERNS: usize = 200;

/// What all configurations have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Configuration<'a> {
    pub folder: &'a Path,
    pub upstream: SocketAddr,
    pub cpu: usize,
    pub connections: usize,
}

impl Configuration<'_> {
    pub fn haproxy(&self, binary: &Path) -> Result<Launch, Error> {
        let address = free_address()?;
        let (upstream, connections_max) = (self.upstream, self.connections_max());
        let text = format!(
            "global\n    nbthread 1\n    maxconn {connections_max}\ndefaults\n    mode http\n    timeout connect 5s\n    \
             timeout client 60s\n    timeout server 60s\n    timeout tunnel 1h\nfrontend edge\n    bind {address}\n    \
             default_backend echo\nbackend echo\n    server echo {upstream}\n"
        );
        let path = self.write("haproxy.cfg", &text)?;
        Ok(self.launch(binary, vec!["-db".into(), "-f".into(), path], address, "haproxy"))
    }

    /// JSON schema, patterns and rate limit, all in both directions.
    pub fn inspecting(&self, binary: &Path) -> Result<Launch, Error> {
        let schema = self.write("order.json", &order_schema())?;
        let rules = format!(
            r#"
    validation {{
        schema-type "json"
        schema-path "{}"
        direction "both"
        action "close"
    }}
    rate-limit {{
        messages-per-second 1000000
        burst 1000000
        direction "both"
    }}
    content-filter {{
        block-patterns {}
        direction "both"
        max-message-size "1MiB"
    }}
"#,
            schema.display(),
            patterns()
        );
        self.inspector(binary, "inspector", &self.document("inspector", &rules))
    }

    pub fn passthrough(&self, binary: &Path) -> Result<Launch, Error> {
        self.inspector(binary, "passthrough", &self.document("passthrough", ""))
    }

    /// No rules, and permessage-deflate as `handling` says: `inspect` or `strip`.
    pub fn compressing(&self, binary: &Path, handling: &str) -> Result<Launch, Error> {
        let rules = format!("    handshake {{ compression \"{handling}\" }}\n");
        self.inspector(binary, handling, &self.document(handling, &rules))
    }

    /// The user's own file.
    pub fn given(&self, binary: &Path, path: &Path) -> Result<Launch, Error> {
        let text = fs::read_to_string(path)
            .map_err(Error::io(format!("reading {}", path.display()), "correct --config"))?;
        if let Some(missing) = ["@LISTEN@", "@UPSTREAM@"].into_iter().find(|mark| !text.contains(mark)) {
            let path = path.display();
            return Err(Error::Options(format!(
                "{path} has no {missing}; write bind \"@LISTEN@\" and server \"@UPSTREAM@\""
            )));
        }
        self.inspector(binary, "inspector", &text)
    }

    fn inspector(&self, binary: &Path, name: &str, text: &str) -> Result<Launch, Error> {
        let address = free_address()?;
        let upstream = self.upstream.to_string();
        let text = text.replace("@LISTEN@", &address.to_string()).replace("@UPSTREAM@", &upstream);
        let path = self.write(&format!("{name}.kdl"), &text)?;
        Ok(self.launch(binary, vec!["run".into(), "-c".into(), path], address, name))
    }

    fn document(&self, name: &str, rules: &str) -> String {
        let audit = self.folder.join(format!("{name}.audit.jsonl"));
        let (cpu, audit, connections_max) = (self.cpu, audit.display(), self.connections_max());
        format!(
            r#"runtime {{
    // A list of one CPU, not a count: the one that is measured.
    shards "{cpu}-{cpu}"
    max-connections {connections_max}
}}
listener "edge" {{
    bind "@LISTEN@"
    route "/*" upstream="echo" agent="orders"
}}
upstream "echo" {{
    server "@UPSTREAM@"
}}
agent "orders" {{
    type "websocket_inspector"
    events "ws_close"
    mode "enforce"
    failure-mode "closed"
{rules}}}
audit {{ path "{audit}"; payload "none" }}
"#
        )
    }

    /// Each round opens its own, while the last ones of the round before may still be ending.
    fn connections_max(&self) -> usize {
        2 * self.connections + 16
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(name);
        fs::write(&path, text)
            .map_err(Error::io(format!("writing {}", path.display()), "check TMPDIR and free space"))?;
        Ok(path)
    }

    fn launch(&self, binary: &Path, arguments: Vec<PathBuf>, address: SocketAddr, name: &str) -> Launch {
        Launch { binary: binary.to_owned(), arguments, address, log: self.folder.join(format!("{name}.log")) }
    }
}

/// Patterns that no order matches, half of them expressions, half literals.
fn patterns() -> String {
    let pattern = |number| match number % 2 {
        0 => format!("\"/attack-word-{number:03}[a-z]{{3}}/i\""),
        _ => format!("\"forbidden phrase {number:03}\""),
    };
    (0..PATTERNS).map(pattern).collect::<Vec<_>>().join(" ")
}

/// The schema of [`crate::PayloadKind::Json`].
fn order_schema() -> String {
    let text = |length_max: u32| json!({ "type": "string", "maxLength": length_max });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "type": { "const": "order" },
            "symbol": { "type": "string", "pattern": "^[A-Z]{1,5}$" },
            "side": { "enum": ["buy", "sell"] },
            "price": { "type": "number", "exclusiveMinimum": 0 },
            "quantity": { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
            "client": text(32),
            "note": text(1 << 20),
        },
        "required": ["type", "symbol", "side", "price", "quantity", "client", "note"],
        "additionalProperties": false,
    })
    .to_string()
}

/// An address that was free a moment ago; the relay binds it next.
fn free_address() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener
        .map_err(Error::io("looking for a free port", "check that the loopback interface is up (ip link)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_as_many_as_promised_and_quoted() {
        let text = patterns();
        assert_eq!(text.matches('"').count(), 2 * PATTERNS);
        assert_eq!(text.matches("\"/attack-word-").count(), PATTERNS / 2);
    }

    #[test]
    fn a_given_file_must_have_both_marks() {
        let folder = tempfile::tempdir().unwrap();
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9));
        let configuration = Configuration { folder: folder.path(), upstream, cpu: 1, connections: 1 };
        let path = folder.path().join("own.kdl");
        fs::write(&path, "bind \"@LISTEN@\"").unwrap();
        assert!(matches!(configuration.given(Path::new("x"), &path), Err(Error::Options(_))));
        fs::write(&path, "bind \"@LISTEN@\"\nserver \"@UPSTREAM@\"").unwrap();
        let launch = configuration.given(Path::new("x"), &path).unwrap();
        let written = fs::read_to_string(folder.path().join("inspector.kdl")).unwrap();
        assert_eq!(written, format!("bind \"{}\"\nserver \"127.0.0.1:9\"", launch.address));
    }
}
