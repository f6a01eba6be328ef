//! One role in this process, on threads of its own, so that it can be killed: everything it had ends where it stood,
//! and its sockets close, as with a process.

use std::future::Future;
use std::net::SocketAddr;

use campanile_process::listen;
use campanile_process::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wait::DEADLINE;

/// A node that runs.
#[derive(Debug)]
pub(crate) struct Node {
    runtime: Option<Runtime>,
    task: Option<JoinHandle<()>>,
    pub(crate) shutdown: Shutdown,
}

impl Node {
    /// Threads, and a listener that belongs to them.
    pub(crate) async fn listen(address: SocketAddr) -> (Runtime, TcpListener) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = Self::listen_on(&runtime, address).await;
        (runtime, listener)
    }

    /// A further listener that belongs to these threads.
    pub(crate) async fn listen_on(runtime: &Runtime, address: SocketAddr) -> TcpListener {
        let bind = runtime.spawn(async move { listen::bind(address, "test").await.unwrap() });
        bind.await.unwrap()
    }

    /// Runs the work on these threads.
    pub(crate) fn run<F>(
        runtime: Runtime,
        shutdown: Shutdown,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = runtime.spawn(async move { work().await });
        Self { runtime: Some(runtime), task: Some(task), shutdown }
    }

    /// One that runs later, in another's place.
    pub(crate) fn not_running() -> Self {
        Self { runtime: None, task: None, shutdown: Shutdown::manual() }
    }

    /// Kills it. When this returns, its port is free and its connections are closed.
    pub(crate) async fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let end = Handle::current().spawn_blocking(move || runtime.shutdown_timeout(DEADLINE));
            end.await.unwrap();
        }
    }

    /// Asks for an orderly end.
    pub(crate) fn drain(&self) {
        self.shutdown.drain.cancel();
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) {
        let task = self.task.take().expect("asked once");
        timeout(DEADLINE, task).await.expect("ends in time").expect("does not panic");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
