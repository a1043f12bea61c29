//! Connections: accepted, bounded in number and in patience, closed when the server ends.
//!
//! The middleware sees a request once its head is read. What comes before, and what stays open after, is bounded here: who connects and
//! says nothing, says it byte by byte, keeps an idle connection or does not read an answer is cut off after a while, and nobody holds
//! all connections. Streams of events live on: they are answers that are being read.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long to wait where the system has no connection to give, such as when too many files are open.
const BREATH: Duration = Duration::from_secs(1);
/// How often it is told that there is no room.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// What a client beyond its share is told before it is closed.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 10\r\n\
    Connection: close\r\nContent-Length: 168\r\n\r\n\
    {\"type\":\"/problems/too-many-connections\",\"title\":\"Too many connections\",\"status\":503,\
    \"detail\":\"This address has too many connections open; close some, then try again.\"}";

/// How many connections there may be, and how long they may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open at once. More wait to be accepted.
    pub connections: usize,
    /// Of them, those of one address (of IPv6: one /64, the network of one customer). More are refused.
    pub an_address: usize,
    /// Whether a proxy on this machine speaks for everybody: its share is the whole.
    pub proxied: bool,
    /// From the beginning of a connection until its first request has come.
    pub first_request: Duration,
    /// From one answer until the next request has come.
    pub idle: Duration,
    /// While the other side takes nothing of an answer.
    pub stalled: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4096,
            an_address: 512,
            proxied: false,
            first_request: Duration::from_secs(20),
            // Longer than proxies keep theirs, so that none sends a request into a connection that is just being closed.
            idle: Duration::from_secs(90),
            // A download may be paused for a while.
            stalled: Duration::from_secs(300),
        }
    }
}

/// Serves until `stopping`, then until the requests that are under way have their answers.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stopping: CancellationToken) {
    let (room, shares) = (Arc::new(Semaphore::new(bounds.connections)), Shares::default());
    let connections = TaskTracker::new();
    let mut told = None;
    while let Some((stream, peer, place)) = stopping.run_until_cancelled(next(&listener, &room, &mut told)).await {
        let whole = bounds.proxied && peer.ip().is_loopback();
        match shares.take(peer.ip(), if whole { bounds.connections } else { bounds.an_address }) {
            Some(share) => {
                let (router, stopping) = (router.clone(), stopping.clone());
                connections.spawn(async move {
                    let _held = (place, share);
                    carry(stream, peer, router, bounds, stopping).await;
                });
            }
            None => {
                tracing::debug!(%peer, "too many connections of one address");
                // Best effort: what does not fit into an empty socket's buffer is not waited for.
                let _ = stream.try_write(TOO_MANY);
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection and its place among all. Waits while there is no room, which is `told` once in a while.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    told: &mut Option<Instant>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = match Arc::clone(room).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            if told.is_none_or(|at| at.elapsed() > TELL_AGAIN) {
                *told = Some(Instant::now());
                tracing::warn!("as many connections are open as may be; new ones wait");
            }
            Arc::clone(room).acquire_owned().await.expect("invariant: the semaphore is never closed")
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; it is tried again");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// The other side was gone before it was accepted.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn carry(stream: TcpStream, peer: SocketAddr, router: Router, bounds: Bounds, stopping: CancellationToken) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(bounds.stalled));
    let asked = CancellationToken::new();
    let first = asked.clone();
    let service = router.map_request(move |mut request: Request<Incoming>| {
        first.cancel();
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let silent = async {
        tokio::time::sleep(bounds.first_request).await;
        // Whoever has asked once is waited for by the connection itself.
        if asked.is_cancelled() {
            std::future::pending::<()>().await;
        }
    };
    let mut silent = pin!(silent);
    let mut ending = pin!(stopping.cancelled());
    let mut told = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended");
                }
                return;
            }
            () = silent.as_mut() => {
                tracing::debug!(%peer, "a connection brought no request");
                return;
            }
            () = ending.as_mut(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// How many connections each address has open.
#[derive(Clone, Default)]
struct Shares(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of them.
struct Share {
    of: IpAddr,
    shares: Shares,
}

impl Shares {
    fn take(&self, address: IpAddr, limit: usize) -> Option<Share> {
        let of = network(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(of).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Share { of, shares: self.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.of);
            }
        }
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const SOON: Duration = Duration::from_millis(50);
    /// Only a broken server needs so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn serving(bounds: Bounds) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let stream = get(|| async {
            let ticks = futures::stream::unfold(0, |n| async move {
                tokio::time::sleep(SOON).await;
                (n < 10).then(|| (Ok::<_, std::io::Error>(format!("tick {n}\n")), n + 1))
            });
            axum::body::Body::from_stream(ticks)
        });
        let router = Router::new()
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
            .route("/stream", stream);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, bounds, stopping.clone()));
        (address, stopping, task)
    }

    /// All that the server sends after these bytes, until it closes.
    async fn answer(stream: &mut TcpStream, bytes: &[u8]) -> String {
        stream.write_all(bytes).await.unwrap();
        let mut text = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the server closes it");
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn who_sends_no_request_is_closed() {
        let (address, ..) = serving(Bounds { first_request: SOON, ..Bounds::default() }).await;
        for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX-a: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let told = answer(&mut stream, begun.as_bytes()).await;
            assert_eq!(told, "", "after {begun:?}");
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_after_its_answer() {
        let (address, ..) = serving(Bounds { idle: SOON, ..Bounds::default() }).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let told = answer(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 200 OK") && told.ends_with("127.0.0.1"), "{told}");
    }

    #[tokio::test]
    async fn an_answer_that_lasts_is_not_cut_off() {
        let bounds = Bounds { first_request: SOON, idle: SOON, stalled: SOON, ..Bounds::default() };
        let (address, ..) = serving(bounds).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let told = answer(&mut stream, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(told.contains("tick 9"), "{told}");
    }

    #[tokio::test]
    async fn one_address_has_so_many_connections_and_no_more() {
        let (address, ..) = serving(Bounds { an_address: 2, ..Bounds::default() }).await;
        let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(ask).await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            held.push(stream);
        }
        let mut third = TcpStream::connect(address).await.unwrap();
        let told = answer(&mut third, b"").await;
        let (head, body) = told.split_once("\r\n\r\n").expect("a whole answer");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{told}");
        serde_json::from_str::<weir_api::Problem>(body).unwrap();
        held.pop();
        let again = async {
            loop {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let told = answer(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
                if told.starts_with("HTTP/1.1 200") {
                    return;
                }
                tokio::time::sleep(SOON).await;
            }
        };
        tokio::time::timeout(PATIENCE, again).await.expect("a place that is free again is given");
    }

    #[tokio::test]
    async fn a_proxy_on_this_machine_has_the_share_of_all_whom_it_speaks_for() {
        let (address, ..) = serving(Bounds { an_address: 1, proxied: true, ..Bounds::default() }).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
            held.push(stream);
        }
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_waits_for_one() {
        let (address, ..) = serving(Bounds { connections: 1, first_request: SOON, ..Bounds::default() }).await;
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut next = TcpStream::connect(address).await.unwrap();
        let told = answer(&mut next, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    }

    #[tokio::test]
    async fn the_end_waits_for_answers_that_are_under_way_and_for_nothing_else() {
        let (address, stopping, task) = serving(Bounds::default()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        idle.read_exact(&mut [0; 12]).await.unwrap();
        let mut under_way = TcpStream::connect(address).await.unwrap();
        under_way.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        under_way.read_exact(&mut [0; 12]).await.unwrap();
        stopping.cancel();
        let told = answer(&mut under_way, b"").await;
        assert!(told.contains("tick 9"), "{told}");
        tokio::time::timeout(PATIENCE, task).await.expect("it ends").unwrap();
    }

    #[test]
    fn the_addresses_of_one_customer_count_as_one() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(ip("2001:db8:1:2::7")), network(ip("2001:db8:1:2:ffff::1")));
        assert_ne!(network(ip("2001:db8:1:2::7")), network(ip("2001:db8:1:3::7")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(network(ip("192.0.2.1")), network(ip("192.0.2.2")));
    }
}
