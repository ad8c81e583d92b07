//! The two chains of processes, and what the suite reports of them:
//! suite as client -> inspector -> echo, and peer as client -> inspector -> suite as server.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Compression, Options,
    expected::{Case, Outcome},
    suite::sources,
};
use crate::{
    background::{Ended, free_address, wait_for},
    run::{Result, command, run, target},
};

/// What the suite calls whom it tests.
const AGENT: &str = "inspector";

/// What came of the cases of a leg.
pub(crate) type Results = BTreeMap<Case, Ran>;

pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) title: String,
}

/// The inspector with an entrance for each leg, and the echo server behind one of them.
pub(crate) struct Legs {
    suite: PathBuf,
    directory: PathBuf,
    cases: Vec<String>,
    deflate: bool,
    leg_max: Duration,
    clients: SocketAddr,
    through: SocketAddr,
    fuzzing_server: SocketAddr,
    _running: [Ended; 2],
}

impl Legs {
    pub(crate) fn start(suite: &Path, options: &Options) -> Result<Self> {
        let directory = target().join("conformance/reports");
        fs::create_dir_all(&directory)?;
        let (clients, through) = (free_address()?, free_address()?);
        let (echo, fuzzing_server) = (free_address()?, free_address()?);
        let deflate = options.compression == Compression::Inspect;
        let config = fs::read_to_string(sources().join("inspector.kdl"))?
            .replace("{clients}", &clients.to_string())
            .replace("{cases}", &through.to_string())
            .replace("{echo}", &echo.to_string())
            .replace("{suite}", &fuzzing_server.to_string())
            .replace("{compression}", if deflate { "inspect" } else { "strip" });
        let config_path = directory.join("inspector.kdl");
        fs::write(&config_path, config)?;

        let binary = target().join("release/websocket-inspector");
        run(command(&binary).arg("check").arg("-c").arg(&config_path))?;
        let mut inspector = command(&binary);
        inspector.arg("run").arg("-c").arg(&config_path);
        let inspector = background(inspector, &directory.join("inspector.log"))?;
        let echo_server = background(peer(suite, "echo", echo, deflate), &directory.join("echo.log"))?;
        for address in [clients, through, echo] {
            wait_for(address)?;
        }
        Ok(Self {
            suite: suite.to_owned(),
            directory,
            cases: options.cases.clone(),
            deflate,
            leg_max: Duration::from_secs(options.leg_max_s),
            clients,
            through,
            fuzzing_server,
            _running: [inspector, echo_server],
        })
    }

    /// The suite is the client, and breaks the rules towards the inspector's client leg.
    pub(crate) fn client(&self) -> Result<Results> {
        let servers = json!([{ "agent": AGENT, "url": format!("ws://{}", self.clients) }]);
        let reports = self.new_reports("client")?;
        let spec = json!({ "outdir": reports, "servers": servers, "cases": self.cases });
        let fuzzing = self.wstest("fuzzingclient", "client", &spec)?;
        fuzzing.finish(self.leg_max).map_err(|error| self.failure("client", &*error))?;
        read(&reports)
    }

    /// The suite is the server, and breaks the rules towards the inspector's upstream leg.
    pub(crate) fn server(&self) -> Result<Results> {
        let reports = self.new_reports("server")?;
        let spec =
            json!({ "outdir": reports, "url": format!("ws://{}", self.fuzzing_server), "cases": self.cases });
        let _fuzzing = self.wstest("fuzzingserver", "server", &spec)?;
        wait_for(self.fuzzing_server)?;
        let mut client = peer(&self.suite, "run", self.through, self.deflate);
        client.arg("--suite").arg(self.fuzzing_server.port().to_string());
        let client = background(client, &self.directory.join("peer.log"))?;
        client.finish(self.leg_max).map_err(|error| self.failure("server", &*error))?;
        read(&reports)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Without the reports of the run before.
    fn new_reports(&self, leg: &str) -> Result<PathBuf> {
        let reports = self.directory.join(leg);
        if reports.exists() {
            fs::remove_dir_all(&reports)?;
        }
        Ok(reports)
    }

    fn wstest(&self, mode: &str, leg: &str, spec: &serde_json::Value) -> Result<Ended> {
        let path = self.directory.join(format!("{leg}.json"));
        fs::write(&path, spec.to_string())?;
        let mut wstest = command(self.suite.join("wstest"));
        wstest.args(["--webport", "0", "--mode", mode, "--spec"]).arg(&path);
        background(wstest, &self.directory.join(format!("{leg}.log")))
    }

    fn failure(&self, leg: &str, error: &dyn std::error::Error) -> String {
        format!("running the cases of the {leg} leg: {error}; logs are in {}", self.directory.display())
    }
}

fn peer(suite: &Path, what: &str, address: SocketAddr, deflate: bool) -> Command {
    let mut peer = command(suite.join("peers/bin/python"));
    peer.arg(sources().join("peer.py")).arg(what).arg("--port").arg(address.port().to_string());
    if deflate {
        peer.arg("--deflate");
    }
    peer
}

fn background(mut command: Command, log: &Path) -> Result<Ended> {
    let log = File::create(log)?;
    let child = command.stdout(log.try_clone()?).stderr(log).spawn();
    Ok(Ended(child.map_err(|error| format!("{}: {error}", command.get_program().display()))?))
}

/// The suite's reports: an index, and a file for each case.
fn read(reports: &Path) -> Result<Results> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Summary {
        behavior: String,
        behavior_close: String,
        remote_close_code: Option<u16>,
        reportfile: String,
    }
    #[derive(Deserialize)]
    struct Report {
        description: String,
    }
    let mut index: BTreeMap<String, BTreeMap<Case, Summary>> = parse(&reports.join("index.json"))?;
    let mut results = Results::new();
    for (case, summary) in index.remove(AGENT).unwrap_or_default() {
        let report: Report = parse(&reports.join(&summary.reportfile))?;
        let outcome = Outcome::new(summary.behavior, summary.behavior_close, summary.remote_close_code);
        results.insert(case, Ran { outcome, title: report.description });
    }
    Ok(results)
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}
