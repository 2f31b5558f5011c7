use super::*;

fn names() -> Names {
    Names {
        broadcast: Some(BroadcastName::new("live/a").unwrap()),
        track: Some(TrackName::new("video").unwrap()),
        rendition: None,
    }
}

const ALL: By = By { broadcast: true, track: true, rendition: false };
const NONE: By = By { broadcast: false, track: false, rendition: false };

fn invalid<T: std::fmt::Debug>(given: Result<T, MetricError>) -> String {
    match given {
        Err(MetricError::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn metrics_are_rendered_with_their_labels() {
    let registry = Registry::default();
    let plugin = registry.add("gop-stats", 10).unwrap();
    let kept = Arc::new(());
    let (names, life) = (names(), Arc::downgrade(&kept));
    let opener = Opener { names: &names, life: &life, broadcast: None };
    plugin.counter(&opener, "groups", ALL, &[("a".into(), "x\"\\".into())]).unwrap().add(3);
    let gauges = [0, 1].map(|_| plugin.gauge(&opener, "seconds", NONE, &[]).unwrap());
    gauges[0].set(1.5);
    gauges[1].set(2.0);
    gauges[1].set(f64::NAN);
    let histogram = plugin.histogram(&opener, "bytes", NONE, &[], &[1.0, 10.0]).unwrap();
    [1.0, 2.0, 100.0, f64::NAN].into_iter().for_each(|value| histogram.observe(value));
    let alarm = plugin.alarm(&names, "long_gop").unwrap();
    alarm.raise("7 s\nlong");
    let expected = "# TYPE millrace_plugin_metric_gop_stats_bytes histogram
millrace_plugin_metric_gop_stats_bytes_bucket{plugin=\"gop-stats\",le=\"1\"} 1
millrace_plugin_metric_gop_stats_bytes_bucket{plugin=\"gop-stats\",le=\"10\"} 2
millrace_plugin_metric_gop_stats_bytes_bucket{plugin=\"gop-stats\",le=\"+Inf\"} 3
millrace_plugin_metric_gop_stats_bytes_sum{plugin=\"gop-stats\"} 103
millrace_plugin_metric_gop_stats_bytes_count{plugin=\"gop-stats\"} 3
# TYPE millrace_plugin_metric_gop_stats_groups_total counter
millrace_plugin_metric_gop_stats_groups_total{plugin=\"gop-stats\",broadcast=\"live/a\",track=\"video\",a=\"x\\\"\\\\\"} 3
# TYPE millrace_plugin_metric_gop_stats_seconds gauge
millrace_plugin_metric_gop_stats_seconds{plugin=\"gop-stats\"} 3.5
# TYPE millrace_plugin_alarms gauge
millrace_plugin_alarms{plugin=\"gop-stats\",alarm=\"long_gop\",broadcast=\"live/a\",track=\"video\"} 1
";
    assert_eq!(registry.render(), expected);
    let [raised] = &registry.alarms()[..] else { panic!() };
    assert_eq!((raised.text.as_str(), raised.name.as_str()), ("7 s long", "long_gop"));
    alarm.clear();
    assert_eq!(registry.alarms(), []);
    drop((gauges, kept));
    assert!(!registry.render().contains("seconds{"), "a gauge that nobody holds has no value");
    assert!(!registry.render().contains("groups"), "a series ends with what it is labelled with");
}

#[test]
fn a_plugin_has_only_so_many_series_and_those_that_ended_do_not_count() {
    let registry = Registry::default();
    let plugin = registry.add("a", 3).unwrap();
    let names = names();
    let life = Arc::new(());
    let weak = Arc::downgrade(&life);
    let opener = Opener { names: &names, life: &weak, broadcast: None };
    for n in 0..3 {
        plugin.counter(&opener, "c", ALL, &[("n".into(), n.to_string())]).unwrap();
    }
    assert_eq!(plugin.counter(&opener, "c", ALL, &[]).unwrap_err(), MetricError::TooMany(3));
    assert_eq!(plugin.alarm(&names, "a").unwrap_err(), MetricError::TooMany(3));
    plugin.counter(&opener, "c", ALL, &[("n".into(), "0".into())]).unwrap();
    drop(life);
    let life = Arc::new(());
    let weak = Arc::downgrade(&life);
    plugin.gauge(&Opener { names: &names, life: &weak, broadcast: None }, "c", ALL, &[]).unwrap();
}

#[test]
fn what_is_not_a_metric_is_refused_in_words() {
    let registry = Registry::default();
    let plugin = registry.add("a", 20).unwrap();
    let (names, life) = (names(), Weak::new());
    let opener = Opener { names: &names, life: &life, broadcast: None };
    for bad in ["", "1st", "a-b", "a b", "ä", &"a".repeat(65)] {
        assert!(invalid(plugin.counter(&opener, bad, NONE, &[])).contains("invalid metric name"), "{bad:?}");
        assert!(invalid(plugin.alarm(&names, bad)).contains("invalid alarm name"), "{bad:?}");
        assert!(
            invalid(plugin.counter(&opener, "c", NONE, &[(bad.into(), String::new())])).contains("label"),
            "{bad:?}"
        );
    }
    plugin.counter(&opener, "c", NONE, &[]).unwrap();
    assert_eq!(invalid(plugin.gauge(&opener, "c", NONE, &[])), "the metric \"c\" is open as a counter");
    let by = By { rendition: true, ..NONE };
    assert!(invalid(plugin.gauge(&opener, "g", by, &[])).contains("not made for a rendition"));
    let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    for name in ["groups_total", "h_sum", "h_bucket", "h_count"] {
        assert!(invalid(plugin.gauge(&opener, name, NONE, &[])).contains("which the host adds"), "{name}");
    }
    for bad in [vec![own("le", "1")], vec![own("__name__", "x")], vec![own("a", "\0")], vec![own("a", "x\n")]] {
        invalid(plugin.counter(&opener, "d", NONE, &bad));
    }
    for bad in [vec![own("plugin", "x")], vec![own("a", "1"), own("a", "2")], vec![own("a", &"x".repeat(129))]] {
        invalid(plugin.counter(&opener, "d", NONE, &bad));
    }
    invalid(plugin.counter(&opener, "d", NONE, &(0..9).map(|n| own(&format!("l{n}"), "")).collect::<Vec<_>>()));
    for bad in [&[][..], &[2.0, 1.0], &[1.0, 1.0], &[f64::NAN], &[f64::INFINITY], &[0.0; 33]] {
        invalid(plugin.histogram(&opener, "h", NONE, &[], bad));
    }
    plugin.histogram(&opener, "h", NONE, &[], &[1.0]).unwrap();
    assert!(invalid(plugin.histogram(&opener, "h", NONE, &[], &[2.0])).contains("buckets [1.0]"));
}

#[test]
fn two_plugins_that_look_the_same_to_prometheus_are_not_both_taken() {
    let registry = Registry::default();
    let first = registry.add("gop-stats", 1).unwrap();
    assert_eq!(registry.add("gop.stats", 1).unwrap_err(), "gop-stats");
    drop(first);
    registry.add("gop.stats", 1).unwrap();
}
