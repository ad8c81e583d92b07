//! System packages: what is missing is installed with apt, or named in a sentence where that is not possible.

use crate::run::{Result, command, run, succeeds};

/// Something that must be there, how to see that it is, and the Debian packages that bring it.
struct Need {
    probe: (&'static str, &'static [&'static str]),
    packages: &'static [&'static str],
}

const BUILD: [Need; 4] = [
    Need { probe: ("cc", &["--version"]), packages: &["gcc", "libc6-dev"] },
    // glommio's build asks git for its own liburing.
    Need { probe: ("git", &["--version"]), packages: &["git"] },
    Need { probe: ("make", &["--version"]), packages: &["make"] },
    Need { probe: ("pkg-config", &["--exists", "libhs"]), packages: &["libhyperscan-dev", "pkg-config"] },
];

const PYTHON: Need =
    Need { probe: ("python3", &["-c", "import venv, ensurepip"]), packages: &["python3-venv"] };

const TEST: [Need; 5] = [
    // libFuzzer is C++.
    Need { probe: ("c++", &["--version"]), packages: &["g++"] },
    PYTHON,
    Need { probe: ("node", &["--version"]), packages: &["nodejs"] },
    Need { probe: ("npm", &["--version"]), packages: &["npm"] },
    Need { probe: ("ps", &["--version"]), packages: &["procps"] },
];

/// What shows the live page to its tests. Not every distribution has it as a package.
const BROWSER: Need = Need {
    probe: ("sh", &["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"]),
    packages: &["chromium", "fonts-dejavu-core"],
};

const BENCH: [Need; 1] = [Need { probe: ("haproxy", &["-v"]), packages: &["haproxy"] }];

/// What a build of Zentinel needs.
const PROXY: [Need; 3] = [
    Need { probe: ("c++", &["--version"]), packages: &["g++"] },
    Need { probe: ("cmake", &["--version"]), packages: &["cmake"] },
    Need { probe: ("protoc", &["--version"]), packages: &["protobuf-compiler"] },
];

/// What a build needs.
pub(crate) fn for_build() -> Result {
    install(BUILD.iter())
}

/// What a build and the tests need. Without a browser the tests of the live page are skipped, and say so.
pub(crate) fn for_tests() -> Result {
    install(BUILD.iter().chain(&TEST))?;
    if let Err(error) = install([&BROWSER].into_iter()) {
        println!("no browser for the tests of the live page: {error}");
    }
    Ok(())
}

/// What a build and the comparison with other relays need.
pub(crate) fn for_bench() -> Result {
    install(BUILD.iter().chain(&BENCH))
}

/// What a build and the tests with a real Zentinel need, and what building that needs.
pub(crate) fn for_interop(build_proxy: bool) -> Result {
    let proxy = if build_proxy { &PROXY[..] } else { &[] };
    install(BUILD.iter().chain([&PYTHON]).chain(proxy))
}

fn install<'a>(needs: impl Iterator<Item = &'a Need>) -> Result {
    let packages: Vec<_> =
        needs.filter(|need| !succeeds(need.probe.0, need.probe.1)).flat_map(|need| need.packages).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.iter().map(|package| **package).collect::<Vec<_>>().join(" ");
    if !succeeds("apt-get", &["--version"]) {
        return Err(format!(
            "missing, by the names of their Debian packages: {list}; there is no apt-get here, so install them by hand"
        )
        .into());
    }
    let as_root = succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]);
    if !as_root && !succeeds("sudo", &["--version"]) {
        return Err(format!("missing: {list}; as root, run: apt-get install {list}").into());
    }
    let apt = |arguments: &[&str]| {
        let mut command = if as_root { command("apt-get") } else { command("sudo") };
        if !as_root {
            command.arg("apt-get");
        }
        run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}
