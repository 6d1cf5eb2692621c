//! Random messages, valid and damaged: how they are split makes no difference, and hyper understands what is accepted.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{LIMITS, run};
use crate::http::guard::{ConnectionState, Guard, HeadBudget, Limits};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "x-Y", ""];
const TARGETS: &[&str] = &[
    "/",
    "/a/b?c",
    "*",
    "http://a",
    "https://[::1]:1/x?y",
    "http://a:/b",
    "a:80",
    "//",
];
const VERSIONS: &[&str] = &["HTTP/1.1", "HTTP/1.0", "HTTP/1.5", "HTTP/2.0", "HTTP/1"];
const FIELDS: &[&str] = &[
    "Host: a",
    "Host: a.b:80",
    "Host: [::1]",
    "Content-Length: 5",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Expect:",
    "Expect: ,100-continue,",
    "Connection: close",
    "Connection: keep-alive, Upgrade",
    "Upgrade: x",
    "A:\t\u{e9} b\t",
    "B:",
];
const BODIES: &[&str] = &[
    "",
    "hello",
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "3;a\r\nabc\r\n0a\r\n0123456789\r\n00\r\nA: b\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\n\r\n",
    "5 ; a =\t\"b;\\\"c\"\t;d=e;f\r\nhello\r\n0\t;g\r\n\r\n",
];

/// Mostly valid, so that most cases reach the later stages.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let mostly = |usual: &'static str, any: &'static [&'static str]| prop_oneof![3 => Just(usual.to_owned()), 2 => select(any).prop_map(str::to_owned)];
    let target = prop_oneof![
        4 => mostly("/a", TARGETS),
        2 => vec(0x21_u8..0x7f, 0..12).prop_map(|bytes| {
            format!("/{}", String::from_utf8_lossy(&bytes))
        }),
        2 => vec(0x21_u8..0x7f, 0..6).prop_map(|bytes| {
            format!("http://{}/", String::from_utf8_lossy(&bytes))
        }),
    ];
    let fields = vec(select(FIELDS), 0..3).prop_map(|fields| fields.join("\r\n"));
    let parts = (
        mostly("POST", METHODS),
        target,
        mostly("HTTP/1.1", VERSIONS),
        prop_oneof![5 => Just("Host: x\r\n"), 1 => Just("")],
        fields,
        select(BODIES),
    );
    parts.prop_map(|(method, target, version, host, fields, body)| {
        let end = if fields.is_empty() { "" } else { "\r\n" };
        format!("{method} {target} {version}\r\n{host}{fields}{end}\r\n{body}").into_bytes()
    })
}

/// Messages in sequence, with bytes inserted, changed or removed.
fn messages(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let special = select(b"\r\n\0 \t:;,=0#%/\\\x0b\x7f\xff\"`<".as_slice());
    let damage = (any::<Index>(), 0..3, prop_oneof![special, any::<u8>()]);
    let damages = prop_oneof![2 => vec(damage.clone(), 0..1), 1 => vec(damage, 0..3)];
    (vec(message(), 1..=count), damages).prop_map(|(messages, damages)| {
        let mut bytes = messages.concat();
        for (index, kind, byte) in damages {
            let index = index.index(bytes.len());
            match kind {
                0 => bytes.insert(index, byte),
                1 => bytes[index] = byte,
                _ => drop(bytes.remove(index)),
            }
        }
        bytes
    })
}

/// One request as the service saw it.
#[derive(Debug)]
enum Seen {
    Refused(u16),
    Complete,
    BodyRefused(u16),
    BodyIncomplete,
}

/// Sends the bytes to a guarded hyper and shuts down the sending side. Returns what the service saw and the bytes of the
/// responses.
async fn serve(bytes: &[u8], limits: Limits) -> (Vec<Seen>, Vec<u8>) {
    let (mut client, socket) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let state = Arc::new(ConnectionState::new());
    let (guard, _gone) = Guard::new(socket, limits, HeadBudget::new(usize::MAX), state.clone());
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let refusal = state.take_request_start().refusal;
        let body = request.into_body().collect().await;
        let (one, status) = match (refusal, body, state.body_refusal()) {
            (Some(refusal), ..) => (Seen::Refused(refusal.status.as_u16()), refusal.status),
            (None, Ok(_), None) => (Seen::Complete, StatusCode::OK),
            (None, Err(_), Some(refusal)) => {
                (Seen::BodyRefused(refusal.status.as_u16()), refusal.status)
            }
            (None, Err(_), None) => {
                seen.lock().unwrap().push(Seen::BodyIncomplete);
                return Err("the client has gone");
            }
            (None, Ok(_), Some(_)) => panic!("a refused body is complete"),
        };
        seen.lock().unwrap().push(one);
        let response = Response::builder().status(status);
        let response = match status {
            StatusCode::OK => response,
            _ => response.header(CONNECTION, "close"),
        };
        Ok(response.body(Full::new(Bytes::new())).unwrap())
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service);
    let result = connection.await;
    let is_incomplete = matches!(seen.lock().unwrap().last(), Some(Seen::BodyIncomplete));
    assert!(
        result.is_ok() || is_incomplete,
        "{}: {result:?}",
        bytes.escape_ascii()
    );
    let mut responses = Vec::new();
    client.read_to_end(&mut responses).await.unwrap();
    (seen.into_inner().unwrap(), responses)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// Chunk extensions: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`. Parsed from the whole line, where
/// the guard parses byte by byte.
fn are_extensions(line: &[u8]) -> bool {
    let token_bytes = |text: &[u8]| text.iter().take_while(|byte| **byte == b'a').count();
    if line.is_empty() {
        return true;
    }
    let Some(rest) = line.trim_ascii_start().strip_prefix(b";") else {
        return false;
    };
    let rest = rest.trim_ascii_start();
    let name = token_bytes(rest);
    let rest = &rest[name..];
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else {
        return name > 0 && are_extensions(rest);
    };
    let value = value.trim_ascii_start();
    let length = match value {
        [b'"', quoted @ ..] => {
            let mut escaped = false;
            let end = quoted.iter().position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            });
            end.map_or(0, |end| end + 2)
        }
        _ => token_bytes(value),
    };
    name > 0 && length > 0 && are_extensions(&value[length..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_chunk_size_is_followed_by_extensions_or_nothing(
        parts in vec(select(&["a", ";", "=", " ", "\t", "\"", "\\", ";a", "=a", ";a=\"", "\"a\""][..]), 0..10),
    ) {
        let line = parts.concat();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let message = format!("{head}0{line}\r\n\r\n");
        let outcome = run(LIMITS, [message.as_bytes()]);
        // After 0, `a` is another digit.
        let rest = line.trim_start_matches('a');
        let expected = if are_extensions(rest.as_bytes()) { None } else { Some(400) };
        prop_assert_eq!(outcome.body_refused, expected, "{}", message);
        prop_assert_eq!(run(LIMITS, message.as_bytes().chunks(1)), outcome);
    }

    #[test]
    fn how_messages_are_split_makes_no_difference(
        bytes in messages(3),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len().max(1))).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        prop_assert_eq!(run(LIMITS, pieces), run(LIMITS, [&bytes[..]]));
        prop_assert_eq!(run(LIMITS, bytes.chunks(1)), run(LIMITS, [&bytes[..]]));
    }

    #[test]
    fn hyper_understands_every_accepted_message(bytes in messages(2)) {
        let limits = Limits { head_bytes_max: 400, ..LIMITS };
        let outcome = run(limits, [&bytes[..]]);
        let (seen, responses) = block_on(serve(&bytes, limits));
        // An earlier message may have asked to close the connection.
        let most = outcome.accepted + 1;
        prop_assert!(seen.len() <= most);
        prop_assert!(!seen.is_empty() || (outcome.accepted == 0 && outcome.refused.is_none()));
        for (number, one) in seen.iter().enumerate() {
            match one {
                // An incomplete head is also refused with 400.
                Seen::Refused(status) => {
                    prop_assert_eq!(number, outcome.accepted);
                    let status_expected = outcome.refused.as_ref().map_or(400, |refused| refused.0);
                    prop_assert_eq!(*status, status_expected);
                }
                Seen::Complete => prop_assert!(number < outcome.accepted),
                Seen::BodyRefused(status) => {
                    prop_assert_eq!(Some(*status), outcome.body_refused);
                }
                Seen::BodyIncomplete => prop_assert!(outcome.is_incomplete),
            }
        }
        // hyper itself has refused nothing.
        let refused = seen.iter().filter(|one| !matches!(one, Seen::Complete | Seen::BodyIncomplete)).count();
        let responses = String::from_utf8_lossy(&responses);
        let errors = responses.matches("HTTP/1.1 4").count() + responses.matches("HTTP/1.1 5").count()
            + responses.matches("HTTP/1.0 4").count() + responses.matches("HTTP/1.0 5").count();
        prop_assert_eq!(errors, refused, "{}", responses);
    }

    #[test]
    fn an_accepted_target_is_a_uri_to_hyper(
        start in select(&["/", "/?", "http://", "https://a", "http://a/", "http://a?", "*", ""][..]),
        rest in vec(prop_oneof![0x20_u8..0x80, select(b"a:/?[]@%".as_slice())], 0..14),
    ) {
        let target = [start.as_bytes(), &rest].concat();
        for method in ["GET ", "OPTIONS "] {
            let head = [method.as_bytes(), &target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            if run(LIMITS, [&head[..]]).accepted == 1 {
                let uri = Uri::try_from(&target[..]);
                prop_assert!(uri.is_ok(), "{}", target.escape_ascii());
                // Both must see the same path.
                let hostless = [b"X ", &target[..], b" HTTP/1.1\r\n\r\n"].concat();
                if method == "GET " {
                    let row = format!("X {}", uri.unwrap().path());
                    prop_assert_eq!(run(LIMITS, [&hostless[..]]).refused, Some((400, Some(row))));
                }
            }
        }
    }
}
