from modelyard.sentinel.counters import counters_of

EDGES = [10 * 1.8**power for power in range(33)]


def exposition(statuses, latencies=(), model="digits"):
    lines = ["# TYPE :tensorflow:serving:request_count counter"]
    lines += [
        f':tensorflow:serving:request_count{{model_name="{model}",status="{status}"}} {count}'
        for status, count in statuses.items()
    ]
    lines.append("# TYPE :tensorflow:serving:request_latency histogram")
    for entrypoint in ("REST", "GRPC"):
        labels = f'model_name="{model}",API="predict",entrypoint="{entrypoint}"'
        for edge in [*EDGES, float("inf")]:
            below = sum(micros <= edge for micros in latencies)
            name = "+Inf" if edge == float("inf") else f"{edge:.0f}"
            lines.append(
                f':tensorflow:serving:request_latency_bucket{{{labels},le="{name}"}} {below}'
            )
        lines.append(f":tensorflow:serving:request_latency_count{{{labels}}} {len(latencies)}")
    return "\n".join(lines) + "\n"


def test_errors_are_told_apart_by_whose_fault_they_are():
    text = exposition(
        {"OK": 90, "INVALID_ARGUMENT": 4, "NOT_FOUND": 1, "INTERNAL": 3, "UNKNOWN": 2}
    )
    found = counters_of(text, "digits", own_requests=10)
    assert (found.requests, found.server_errors, found.client_errors) == (90, 5, 5)


def test_latencies_of_all_entry_points_fall_into_buckets():
    found = counters_of(exposition({"OK": 6}, [5, 15, 1e12]), "digits", own_requests=0)
    assert found.latency[0] == 2
    assert found.latency[1] == 2
    assert found.latency[33] == 2
    assert sum(found.latency) == 6


def test_other_models_do_not_count():
    found = counters_of(exposition({"OK": 6}, [5], model="other"), "digits", own_requests=0)
    assert found.requests == 0
    assert sum(found.latency) == 0
