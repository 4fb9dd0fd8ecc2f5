//! The engine for many objects.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use envelope_store::{
    RateLimit, StopSignal,
    bulk::{Bulk, BulkEvent, Item, Outcome, Report},
};
use futures_util::{Stream, stream};
use serde_json::{Value, json};

fn items(count: u64) -> impl Stream<Item = Result<Item<u64>, io::Error>> + Send {
    stream::iter((0..count).map(|n| Ok(Item::new(format!("key {n}"), n, n))))
}

/// A report that a test can read.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn values(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_failure_stops_nothing_and_every_object_is_in_the_report() {
    let lines = Lines::default();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let summary = Bulk::new(7)
        .run(items(100), &mut Report::to(lines.clone()), move |item: Item<u64>| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
                now.fetch_sub(1, Relaxed);
                match item.source % 10 {
                    3 => Outcome::failed(&io::Error::other("a fault")),
                    4 => panic!("a defect"),
                    _ => Outcome::new("done").with_bytes(2).with_detail("n", item.source),
                }
            }
        })
        .await
        .unwrap();
    assert_eq!(seen.load(Relaxed), 7);
    assert_eq!((summary.of("done"), summary.of("failed"), summary.failed()), (80, 20, 20));
    assert_eq!((summary.objects(), summary.bytes(), summary.waiting()), (100, 160, 0));
    assert_eq!(summary.to_string(), "80 done, 20 failed");
    assert!(!summary.is_stopped());
    let mut keys: Vec<String> = Vec::new();
    for line in lines.values() {
        let n: u64 = line["key"].as_str().unwrap().strip_prefix("key ").unwrap().parse().unwrap();
        match n % 10 {
            3 => assert_eq!(line["error"], "a fault"),
            4 => assert!(line["error"].as_str().unwrap().contains("defect")),
            _ => assert_eq!((&line["status"], &line["n"]), (&json!("done"), &json!(n))),
        }
        keys.push(line["key"].to_string());
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
}

#[tokio::test]
async fn a_later_run_does_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    let run = async |version: &'static str, fails: u64| {
        let mut report = Report::open(&path, &json!("job")).unwrap();
        let items = (0..20).map(|n| Item::new(n.to_string(), 1, n).with_version(version));
        let items = stream::iter(items.map(Ok::<_, io::Error>));
        let work = move |item: Item<u64>| async move {
            if item.source < fails { Outcome::refused("why") } else { Outcome::new("done") }
        };
        let summary = Bulk::new(3).run(items, &mut report, work).await.unwrap();
        (summary.of("done"), summary.failed(), summary.earlier())
    };
    assert_eq!(run("1", 5).await, (15, 5, 0));
    assert_eq!(run("1", 2).await, (3, 2, 15));
    assert_eq!(run("1", 0).await, (2, 0, 18));
    assert_eq!(run("1", 0).await, (0, 0, 20));
    assert_eq!(run("2", 0).await, (20, 0, 0), "the sources are others now");
}

#[tokio::test]
async fn a_source_that_breaks_off_is_an_error() {
    let broken = stream::iter((0..50).map(|n| match n {
        40 => Err(io::Error::other("no more pages")),
        n => Ok(Item::new(n.to_string(), 0, n)),
    }));
    let work = |_: Item<u64>| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Outcome::new("done")
    };
    let error = Bulk::new(4).run(broken, &mut Report::none(), work).await.unwrap_err();
    assert_eq!(error.source.to_string(), "no more pages");
    let summary = error.summary;
    assert_eq!(summary.of("done") + summary.waiting(), 40, "what had begun was finished");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_ends_the_work() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let work = move |_: Item<u64>| {
        counted.fetch_add(1, Relaxed);
        async { Outcome::new("done") }
    };
    let outcome = Bulk::new(2).run(items(1000), &mut Report::to(Full(10)), work).await;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("was done; but the report cannot be written"), "{error}");
    assert!(begun.load(Relaxed) < 20, "{begun:?}");
    assert_eq!(error.summary.of("done"), begun.load(Relaxed) as u64);
}

#[tokio::test]
async fn what_has_begun_is_finished_after_a_stop() {
    for parallel in [1, 8] {
        let stop = StopSignal::new();
        let (given, begun) = (stop.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&begun);
        let work = move |item: Item<u64>| {
            counted.fetch_add(1, Relaxed);
            if item.source == 30 {
                given.stop();
            }
            async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Outcome::new("done")
            }
        };
        let bulk = Bulk::new(parallel).with_stop(stop);
        let summary = bulk.run(items(100), &mut Report::none(), work).await.unwrap();
        assert!(summary.is_stopped());
        assert_eq!(summary.of("done"), begun.load(Relaxed) as u64);
        assert!((31..31 + parallel as u64).contains(&summary.of("done")), "{summary}");
    }
    // A signal after everything has begun leaves nothing out.
    let stop = StopSignal::new();
    let given = stop.clone();
    let work = move |item: Item<u64>| {
        let given = given.clone();
        async move {
            if item.source == 9 {
                // The source has said that it is at its end by then.
                tokio::time::sleep(Duration::from_millis(20)).await;
                given.stop();
            }
            Outcome::new("done")
        }
    };
    let bulk = Bulk::new(10).with_stop(stop);
    let summary = bulk.run(items(10), &mut Report::none(), work).await.unwrap();
    assert!(!summary.is_stopped() && summary.of("done") == 10);
}

/// A source may wait for its next object when the stop comes.
#[tokio::test]
async fn a_source_that_waits_can_be_stopped() {
    let stop = StopSignal::new();
    let given = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        given.stop();
    });
    let items = stream::pending::<Result<Item<()>, io::Error>>();
    let work = |_: Item<()>| async { Outcome::new("done") };
    let summary = Bulk::new(1).with_stop(stop).run(items, &mut Report::none(), work).await;
    assert!(summary.unwrap().is_stopped());
}

#[tokio::test]
async fn a_large_object_neither_waits_nor_is_waited_for() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let work = move |item: Item<u64>| {
        noted.lock().unwrap().push(item.source);
        async { Outcome::new("done") }
    };
    // Large ones come last, among them one that never fits beside another.
    let all = (0..1000).map(|n| (n, if n < 990 { 1 } else { 1 << 30 }));
    let items = stream::iter(all.map(|(n, len)| Ok::<_, io::Error>(Item::new("", len, n))));
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let bulk = Bulk::new(1).with_listener(move |event| told.lock().unwrap().push(event.clone()));
    bulk.run(items, &mut Report::none(), work).await.unwrap();
    let order = order.lock().unwrap().clone();
    let large = order.iter().position(|n| *n >= 990).unwrap();
    assert!(large < 900, "found while the others were worked on: {large}");
    let begun: Vec<bool> = order[large..large + 20].iter().map(|n| *n >= 990).collect();
    assert!(begun.windows(2).all(|pair| pair[0] != pair[1]), "in turn: {begun:?}");
    let events = events.lock().unwrap();
    let found = events.iter().filter(|event| matches!(event, BulkEvent::Found(_))).count();
    let ended = events.iter().filter(|event| matches!(event, BulkEvent::Ended { .. })).count();
    assert_eq!((found, ended), (1000, 1000));
    assert_eq!(events.iter().filter(|event| **event == BulkEvent::AllFound).count(), 1);
}

#[tokio::test]
async fn objects_a_second() {
    let rate = RateLimit::per_second(100.try_into().unwrap());
    let work = |_: Item<u64>| async { Outcome::new("done") };
    let begun = Instant::now();
    let bulk = Bulk::new(16).with_rate(rate);
    bulk.run(items(150), &mut Report::none(), work).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
}
