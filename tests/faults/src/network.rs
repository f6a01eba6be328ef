//! Hosts as network namespaces, with a router namespace between them whose rules swallow what goes one way.
//!
//! All of it lies in a network and a mount namespace of this process's own ([`enter`]), and so ends with it.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cluster::Way;
use crate::failure::{Failure, Result};
use crate::process::tool;
use crate::report::{Row, from_json};
use crate::stage::{Stage, install, need_root};

/// The namespace between all hosts.
const ROUTER: &str = "router";

/// Runs this scenario once more, in a process with namespaces of its own, and gives what it found.
pub(crate) async fn enter(stage: &Stage, scenario: &str) -> Result<Vec<Row>> {
    need_root("making network namespaces")?;
    install(stage, "util-linux", || tool(&["unshare", "--version"]).is_ok())?;
    install(stage, "iproute2", || tool(&["ip", "-V"]).is_ok())?;
    let found = stage.folder.join("inside.json");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--"]).arg(std::env::current_exe()?);
    command.args([scenario, "--inside", "--json"]).arg(&found).arg("--program").arg(&stage.program);
    command.args(stage.short.then_some("--short"));
    if let Some(seconds) = stage.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    // The outer process prints the table.
    let mut child = Kill(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
    let patience = std::time::Duration::from_secs(900);
    let ended = async || child.0.try_wait().ok().flatten().ok_or(());
    let status = crate::wait::eventually("the scenario ends", patience, ended).await?;
    let text = std::fs::read_to_string(&found);
    let value: Value = text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let rows = from_json(&value);
    if rows.is_empty() {
        return Err(Failure::new(format!("no figures: {status}")));
    }
    Ok(rows)
}

/// A child that ends with whoever waits for it.
struct Kill(std::process::Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One host: its namespace and its address.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    name: &'static str,
    number: u8,
}

impl Host {
    pub(crate) fn address(&self) -> IpAddr {
        Ipv4Addr::new(10, 77, self.number, 2).into()
    }

    /// The command line that runs something there.
    pub(crate) fn within(&self) -> [&'static str; 4] {
        ["ip", "netns", "exec", self.name]
    }

    /// How to run a process there.
    pub(crate) fn way(&self) -> Way {
        Way { host: self.address(), ..Way::default() }.within(&self.within())
    }

    fn net(&self) -> String {
        format!("10.77.{}.0/24", self.number)
    }
}

/// The network, with this process as host 0.
#[derive(Debug)]
pub(crate) struct Network {
    hosts: Vec<Host>,
}

impl Network {
    /// Makes these hosts. Only for a process that [`enter`] started.
    pub(crate) fn new(names: &[&'static str]) -> Result<Self> {
        tool(&["mkdir", "-p", "/run/netns"])?;
        // Names of namespaces that nobody else sees, and that go with this process.
        tool(&["mount", "-t", "tmpfs", "tmpfs", "/run/netns"])?;
        tool(&["ip", "link", "set", "lo", "up"])?;
        tool(&["ip", "netns", "add", ROUTER])?;
        tool(&["ip", "-n", ROUTER, "link", "set", "lo", "up"])?;
        tool(&["ip", "netns", "exec", ROUTER, "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
        connect(&[], 0)?;
        let mut hosts = Vec::new();
        for (&name, number) in names.iter().zip(1..) {
            tool(&["ip", "netns", "add", name])?;
            connect(&["-n", name], number)?;
            // Connects are repeated after 1, 3 and 7 s, as by kernels before Linux 6.5, which do not know this one.
            let _ =
                tool(&["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.tcp_syn_linear_timeouts=0"]);
            tool(&["ip", "-n", name, "link", "set", "lo", "up"])?;
            hosts.push(Host { name, number });
        }
        Ok(Self { hosts })
    }

    pub(crate) fn host(&self, number: usize) -> &Host {
        &self.hosts[number]
    }

    /// This process, as the others see it.
    pub(crate) fn own_address() -> IpAddr {
        Ipv4Addr::new(10, 77, 0, 2).into()
    }

    /// From now on the router swallows what one of these hosts sends to the other, without a word.
    pub(crate) fn cut(from: &Host, to: &Host) -> Result<()> {
        rule("add", &from.net(), &to.net())
    }

    pub(crate) fn heal(from: &Host, to: &Host) -> Result<()> {
        rule("del", &from.net(), &to.net())
    }

    /// From now on nothing from this process gets to that host, nor back.
    pub(crate) fn cut_off(host: &Host) -> Result<()> {
        rule("add", "10.77.0.0/24", &host.net())?;
        rule("add", &host.net(), "10.77.0.0/24")
    }
}

fn rule(verb: &str, from: &str, to: &str) -> Result<()> {
    tool(&["ip", "-n", ROUTER, "rule", verb, "from", from, "to", to, "blackhole"]).map(drop)
}

/// A cable from a namespace to the router, with addresses and the way out.
fn connect(namespace: &[&str], number: u8) -> Result<()> {
    let ip = |arguments: &[&str]| tool(&[&["ip"], namespace, arguments].concat());
    let router = |arguments: &[&str]| tool(&[&["ip", "-n", ROUTER], arguments].concat());
    let (port, gate) = (format!("host{number}"), format!("10.77.{number}.1"));
    ip(&["link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", ROUTER])?;
    ip(&["addr", "add", &format!("10.77.{number}.2/24"), "dev", "eth0"])?;
    ip(&["link", "set", "eth0", "up"])?;
    router(&["addr", "add", &format!("{gate}/24"), "dev", &port])?;
    router(&["link", "set", &port, "up"])?;
    ip(&["route", "add", "default", "via", &gate])?;
    Ok(())
}
