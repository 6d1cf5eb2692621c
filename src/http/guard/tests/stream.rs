//! The guard alone, on a pipe. The clock is paused and advances only while the test waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::{LIMITS, run};
use crate::closed::CloseReason;
use crate::http::guard::{ConnectionState, Guard, HeadBudget};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn guarded(pipe_bytes: usize) -> (DuplexStream, Guard<DuplexStream>, Arc<ConnectionState>) {
    let (client, socket) = duplex(pipe_bytes);
    let state = Arc::new(ConnectionState::new());
    let heads = HeadBudget::new(usize::MAX);
    let (guard, _) = Guard::new(socket, LIMITS, heads, state.clone());
    (client, guard, state)
}

/// The status of the refusal that the service would find.
fn refused(state: &ConnectionState) -> Option<u16> {
    let refusal = state.take_request_start().refusal?;
    assert_eq!(refusal.request, None);
    Some(refusal.status.as_u16())
}

async fn read(guard: &mut Guard<DuplexStream>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4096);
    guard.read_buf(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_the_next_message_is_forwarded_before_it_is_asked_for() {
    let (mut client, mut guard, _) = guarded(4096);
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let chunked =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let refused = b"GET / HTTP/1.1\r\n\r\n";
    let all = [GET, post, chunked, GET, refused, GET];
    client.write_all(&all.concat()).await.unwrap();
    for message in &all[..4] {
        assert_eq!(read(&mut guard).await, *message);
    }
    assert!(
        read(&mut guard)
            .await
            .starts_with(b"GET / HTTP/1.1\r\nhost: refused")
    );
    assert!(read(&mut guard).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_size_of_the_readers_buffer_makes_no_difference() {
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n\
        a\r\n0123456789\r\n0\r\nA: b\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for size in [1, 2, 5, 64] {
        let (mut client, mut guard, _) = guarded(16);
        let writing = tokio::spawn(async move {
            client.write_all(bytes).await.unwrap();
        });
        let (mut all, mut buf) = (Vec::new(), vec![0; size]);
        loop {
            match guard.read(&mut buf).await.unwrap() {
                0 => break,
                count => all.extend_from_slice(&buf[..count]),
            }
        }
        writing.await.unwrap();
        assert_eq!(all, run(LIMITS, [&bytes[..]]).forwarded, "buffer of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_disconnected_without_a_response() {
    for sent in [&b""[..], b"\r\n"] {
        let (mut client, mut guard, state) = guarded(4096);
        client.write_all(sent).await.unwrap();
        let start = Instant::now();
        assert!(read(&mut guard).await.is_empty());
        assert_eq!(start.elapsed().as_secs(), 10);
        assert_eq!(state.close_reason(), Some(CloseReason::HeaderTimeout));
        assert_eq!(refused(&state), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_refused_with_408() {
    let (mut client, mut guard, state) = guarded(4096);
    let start = Instant::now();
    let drip = tokio::spawn(async move {
        for byte in GET {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        client
    });
    assert!(!read(&mut guard).await.is_empty());
    assert_eq!(start.elapsed().as_secs(), 10, "from accept");
    assert_eq!(refused(&state), Some(408));
    assert_eq!(state.close_reason(), None);
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn a_later_head_has_its_timeout_from_its_first_byte_and_idleness_has_another() {
    let (mut client, mut guard, state) = guarded(4096);
    client.write_all(GET).await.unwrap();
    read(&mut guard).await;
    let start = Instant::now();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(70)).await;
        client.write_all(&GET[..3]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        client.write_all(&GET[3..]).await.unwrap();
        client
    });
    assert_eq!(read(&mut guard).await, GET);
    assert_eq!(start.elapsed().as_secs(), 79);
    assert!(read(&mut guard).await.is_empty());
    assert_eq!(start.elapsed().as_secs(), 79 + 75);
    assert_eq!(state.close_reason(), Some(CloseReason::IdleTimeout));
    drop(later.await);

    let (mut client, mut guard, state) = guarded(4096);
    client.write_all(&[GET, &GET[..3]].concat()).await.unwrap();
    read(&mut guard).await;
    let start = Instant::now();
    assert!(!read(&mut guard).await.is_empty());
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(refused(&state), Some(408));
}

#[tokio::test(start_paused = true)]
async fn the_guard_has_no_timeout_for_a_body() {
    let (mut client, mut guard, _) = guarded(4096);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert_eq!(read(&mut guard).await, head);
    let much_later = Duration::from_secs(10_000);
    assert!(
        tokio::time::timeout(much_later, read(&mut guard))
            .await
            .is_err()
    );
    client.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut guard).await, b"hello");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_disconnected_but_a_slow_one_is_not() {
    let (mut client, mut guard, state) = guarded(64);
    let start = Instant::now();
    let slow = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(29)).await;
            client.read_exact(&mut [0; 10]).await.unwrap();
        }
        client
    });
    let error = guard.write_all(&[b'x'; 4096]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 5 * 29 + 30);
    assert_eq!(state.close_reason(), Some(CloseReason::WriteTimeout));
    drop(slow.await);
}

#[tokio::test(start_paused = true)]
async fn closing_is_immediate_if_nothing_is_unread() {
    for close_when_idle in [false, true] {
        let (mut client, mut guard, state) = guarded(4096);
        client.write_all(GET).await.unwrap();
        read(&mut guard).await;
        if close_when_idle {
            state.close_when_idle();
            assert!(read(&mut guard).await.is_empty());
        }
        let start = Instant::now();
        guard.shutdown().await.unwrap();
        assert!(start.elapsed().is_zero());
        assert_eq!(state.close_reason(), None);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_lingers_for_two_seconds_if_something_is_unread() {
    let requests: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /",
    ];
    for request in requests {
        let (mut client, mut guard, _) = guarded(4096);
        client.write_all(request).await.unwrap();
        read(&mut guard).await;
        let start = Instant::now();
        guard.shutdown().await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 2, "{}", request.escape_ascii());
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn lingering_ends_when_the_client_closes_or_after_16_mib() {
    let (mut client, mut guard, _) = guarded(1 << 16);
    client.write_all(b"BAD\r\n").await.unwrap();
    read(&mut guard).await;
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while client.write_all(&[0; 1 << 14]).await.is_ok() {
            sent += 1 << 14;
        }
        sent
    });
    guard.shutdown().await.unwrap();
    drop(guard);
    assert!(start.elapsed().is_zero());
    let sent = sending.await.unwrap();
    assert!((1 << 24..(1 << 24) + (1 << 17)).contains(&sent), "{sent}");

    let (mut client, mut guard, _) = guarded(4096);
    client.write_all(b"BAD\r\n").await.unwrap();
    read(&mut guard).await;
    drop(client);
    let start = Instant::now();
    guard.shutdown().await.unwrap();
    assert!(start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_closing_connection_still_serves_a_head_that_has_begun() {
    let (mut client, mut guard, state) = guarded(4096);
    client.write_all(&GET[..3]).await.unwrap();
    state.close_when_idle();
    let (bytes, ()) = tokio::join!(read(&mut guard), async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.write_all(&GET[3..]).await.unwrap();
    });
    assert_eq!(bytes, GET);
    client.write_all(GET).await.unwrap();
    assert_eq!(read(&mut guard).await, GET, "it had arrived");
    assert!(read(&mut guard).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closing_connection_waits_at_most_a_second_for_its_first_head() {
    for (sent, status) in [(&b""[..], None), (b"\r\n", None), (b"G", Some(408))] {
        let (mut client, mut guard, state) = guarded(4096);
        client.write_all(sent).await.unwrap();
        state.close_when_idle();
        let start = Instant::now();
        assert_eq!(read(&mut guard).await.is_empty(), status.is_none());
        assert_eq!(start.elapsed().as_secs(), 1, "{}", sent.escape_ascii());
        assert_eq!((refused(&state), state.close_reason()), (status, None));
        guard.shutdown().await.unwrap();
        assert!(start.elapsed().as_secs() <= 2, "it lingers as briefly");
    }

    let (mut client, mut guard, state) = guarded(4096);
    state.close_when_idle();
    let (bytes, ()) = tokio::join!(read(&mut guard), async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.write_all(GET).await.unwrap();
    });
    assert_eq!(bytes, GET, "it was on its way");
    assert!(read(&mut guard).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn lingering_ends_within_a_second_once_the_server_closes_connections() {
    let (mut client, mut guard, state) = guarded(4096);
    client.write_all(b"BAD\r\n").await.unwrap();
    read(&mut guard).await;
    let start = Instant::now();
    let mut shutdown = std::pin::pin!(guard.shutdown());
    let half = Duration::from_millis(500);
    assert!(tokio::time::timeout(half, &mut shutdown).await.is_err());
    state.close_when_idle();
    shutdown.await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 1500);
}
