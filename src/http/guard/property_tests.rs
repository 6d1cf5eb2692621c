//! Random messages, sound and damaged: how they are cut makes no difference, and hyper understands what passes.

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

use super::table_tests::{LIMITS, run};
use super::{ConnectionState, Guard, HeadBudget, Limits};

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

/// Mostly sound: what most tries must come through to be worth anything.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let usual = |usual: &'static str, any: &'static [&'static str]| prop_oneof![3 => Just(usual.to_owned()), 2 => select(any).prop_map(str::to_owned)];
    let target = prop_oneof![
        4 => usual("/a", TARGETS),
        2 => vec(0x21_u8..0x7f, 0..12).prop_map(|bytes| {
            format!("/{}", String::from_utf8_lossy(&bytes))
        }),
        2 => vec(0x21_u8..0x7f, 0..6).prop_map(|bytes| {
            format!("http://{}/", String::from_utf8_lossy(&bytes))
        }),
    ];
    let fields = vec(select(FIELDS), 0..3).prop_map(|fields| fields.join("\r\n"));
    let parts = (
        usual("POST", METHODS),
        target,
        usual("HTTP/1.1", VERSIONS),
        prop_oneof![5 => Just("Host: x\r\n"), 1 => Just("")],
        fields,
        select(BODIES),
    );
    parts.prop_map(|(method, target, version, host, fields, body)| {
        let end = if fields.is_empty() { "" } else { "\r\n" };
        format!("{method} {target} {version}\r\n{host}{fields}{end}\r\n{body}").into_bytes()
    })
}

/// Messages in sequence, with bytes put in, changed or taken out.
fn messages(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let special = select(b"\r\n\0 \t:;,=0#%/\\\x0b\x7f\xff\"`<".as_slice());
    let damage = (any::<Index>(), 0..3, prop_oneof![special, any::<u8>()]);
    let damages = prop_oneof![2 => vec(damage.clone(), 0..1), 1 => vec(damage, 0..3)];
    (vec(message(), 1..=count), damages).prop_map(|(messages, damages)| {
        let mut bytes = messages.concat();
        for (place, kind, byte) in damages {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes.insert(place, byte),
                1 => bytes[place] = byte,
                _ => drop(bytes.remove(place)),
            }
        }
        bytes
    })
}

/// What the service saw of one request.
#[derive(Debug)]
enum Seen {
    Refused(u16),
    Body,
    BodyRefused(u16),
    BodyCut,
}

/// Sends all to a guarded hyper and ends the sending side. Returns what the service saw and the bytes of the answers.
async fn serve(bytes: &[u8], limits: Limits) -> (Vec<Seen>, Vec<u8>) {
    let (mut client, socket) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let exchange = Arc::new(ConnectionState::new());
    let (guard, _gone) = Guard::new(
        socket,
        limits,
        HeadBudget::new(usize::MAX),
        exchange.clone(),
    );
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| async {
        let refusal = exchange.take_request_start().refusal;
        let body = request.into_body().collect().await;
        let (one, status) = match (refusal, body, exchange.body_refusal()) {
            (Some(refusal), ..) => (Seen::Refused(refusal.status.as_u16()), refusal.status),
            (None, Ok(_), None) => (Seen::Body, StatusCode::OK),
            (None, Err(_), Some(refusal)) => {
                (Seen::BodyRefused(refusal.status.as_u16()), refusal.status)
            }
            (None, Err(_), None) => {
                seen.lock().unwrap().push(Seen::BodyCut);
                return Err("gone");
            }
            (None, Ok(_), Some(_)) => panic!("a refused body came to a sound end"),
        };
        seen.lock().unwrap().push(one);
        let answer = Response::builder().status(status);
        let answer = match status {
            StatusCode::OK => answer,
            _ => answer.header(CONNECTION, "close"),
        };
        Ok(answer.body(Full::new(Bytes::new())).unwrap())
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service);
    let result = connection.await;
    let cut = matches!(seen.lock().unwrap().last(), Some(Seen::BodyCut));
    assert!(
        result.is_ok() || cut,
        "{}: {result:?}",
        bytes.escape_ascii()
    );
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).await.unwrap();
    (seen.into_inner().unwrap(), answers)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// What may stand behind a chunk's size: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`. Read with the
/// whole line at hand, where the guard takes it byte by byte.
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
    fn behind_a_chunks_size_stand_extensions_or_nothing(
        parts in vec(select(&["a", ";", "=", " ", "\t", "\"", "\\", ";a", "=a", ";a=\"", "\"a\""][..]), 0..10),
    ) {
        let line = parts.concat();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let message = format!("{head}0{line}\r\n\r\n");
        let outcome = run(LIMITS, [message.as_bytes()]);
        // Behind 0, `a` is another digit.
        let rest = line.trim_start_matches('a');
        let wanted = if are_extensions(rest.as_bytes()) { None } else { Some(400) };
        prop_assert_eq!(outcome.body_refused, wanted, "{}", message);
        prop_assert_eq!(run(LIMITS, message.as_bytes().chunks(1)), outcome);
    }

    #[test]
    fn how_messages_are_cut_makes_no_difference(
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
    fn hyper_understands_whatever_passes(bytes in messages(2)) {
        let limits = Limits { head_bytes_max: 400, ..LIMITS };
        let outcome = run(limits, [&bytes[..]]);
        let (seen, answers) = block_on(serve(&bytes, limits));
        // A connection may close before the last message, at the request of one before.
        let most = outcome.passed + 1;
        prop_assert!(seen.len() <= most);
        prop_assert!(!seen.is_empty() || (outcome.passed == 0 && outcome.refused.is_none()));
        for (number, one) in seen.iter().enumerate() {
            match one {
                // Status 400 may also be the one for a head cut short.
                Seen::Refused(status) => {
                    prop_assert_eq!(number, outcome.passed);
                    let verdict = outcome.refused.as_ref().map_or(400, |refused| refused.0);
                    prop_assert_eq!(*status, verdict);
                }
                Seen::Body => prop_assert!(number < outcome.passed),
                Seen::BodyRefused(status) => {
                    prop_assert_eq!(Some(*status), outcome.body_refused);
                }
                Seen::BodyCut => prop_assert!(outcome.open),
            }
        }
        // hyper has refused nothing by itself.
        let refused = seen.iter().filter(|one| !matches!(one, Seen::Body | Seen::BodyCut)).count();
        let answers = String::from_utf8_lossy(&answers);
        let errors = answers.matches("HTTP/1.1 4").count() + answers.matches("HTTP/1.1 5").count()
            + answers.matches("HTTP/1.0 4").count() + answers.matches("HTTP/1.0 5").count();
        prop_assert_eq!(errors, refused, "{}", answers);
    }

    #[test]
    fn a_target_that_passes_is_a_uri_to_hyper(
        start in select(&["/", "/?", "http://", "https://a", "http://a/", "http://a?", "*", ""][..]),
        rest in vec(prop_oneof![0x20_u8..0x80, select(b"a:/?[]@%".as_slice())], 0..14),
    ) {
        let target = [start.as_bytes(), &rest].concat();
        for method in ["GET ", "OPTIONS "] {
            let head = [method.as_bytes(), &target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            if run(LIMITS, [&head[..]]).passed == 1 {
                let uri = Uri::try_from(&target[..]);
                prop_assert!(uri.is_ok(), "{}", target.escape_ascii());
                // And both see the same path.
                let hostless = [b"X ", &target[..], b" HTTP/1.1\r\n\r\n"].concat();
                if method == "GET " {
                    let row = format!("X {}", uri.unwrap().path());
                    prop_assert_eq!(run(LIMITS, [&hostless[..]]).refused, Some((400, Some(row))));
                }
            }
        }
    }
}
