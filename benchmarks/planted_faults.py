"""Faults to be planted in the code, one at a time, each with the tests that should notice it (see mutations.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlantedFault:
    """A change that makes the code wrong.

    Attributes:
        name: what is wrong then.
        file: the file, below the root of the repository.
        old: the text that is replaced; it occurs exactly once in the file.
        new: the text that replaces it.
        tests: arguments of pytest that select the tests which should fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _tests(file: str, keyword: str = "") -> tuple[str, ...]:
    return (f"tests/{file}.py", *(("-k", keyword) if keyword else ()))


STEPS, ASSESSMENT, CASTING = (
    "pipeline/ingestion/steps.py",
    "pipeline/ingestion/assessment.py",
    "pipeline/ingestion/casting.py",
)
LEDGER, REPLAY = "pipeline/ingestion/ledger.py", "pipeline/ingestion/replay.py"
INGESTION = (
    PlantedFault(
        "an interrupted delivery counts as complete",
        STEPS,
        "Status.COMMITTED and not interrupted and not force:",
        "Status.COMMITTED and not force:",
        _tests("ingestion/test_kill", "after_an_interrupted"),
    ),
    PlantedFault(
        "bytes that return keep the time of their first arrival",
        STEPS,
        "if e.sha256 == blob.sha256 and e.status is not Status.REPLACED]",
        "if e.sha256 == blob.sha256]",
        _tests("ingestion/test_overlap", "return"),
    ),
    PlantedFault(
        "days that a corrected delivery no longer has keep its old rows",
        STEPS,
        "sorted(own_days | days_of(con, lake, table, [entry.delivery, *corrections]))",
        "sorted(own_days)",
        _tests("ingestion/test_steps", "changed_bytes or nothing_good"),
    ),
    PlantedFault(
        "the ledger does not say that corrections are replaced",
        STEPS,
        "ledger.record(lake, replace(old, status=Status.REPLACED))",
        "pass",
        _tests("ingestion/test_quarantine", "corrected_delivery"),
    ),
    PlantedFault(
        "a refusal is not recorded in the ledger",
        STEPS,
        "            ledger.record(lake, replace(entry, status=Status.REFUSED, reason=str(refusal)))\n",
        "",
        _tests("ingestion/test_steps", "refused"),
    ),
    PlantedFault(
        "where deliveries overlap, the oldest one wins",
        "pipeline/ingestion/overlap.py",
        "received.spoken_at.desc()",
        "received.spoken_at.asc()",
        _tests("ingestion/test_overlap", "corrected_overlap or hid"),
    ),
    PlantedFault(
        "equal lines of one delivery become one line",
        "pipeline/ingestion/overlap.py",
        "ibis.dense_rank()",
        "ibis.row_number()",
        _tests("ingestion/test_overlap", "equal_lines"),
    ),
    PlantedFault(
        "a failed expectation on the delivery does not refuse it",
        ASSESSMENT,
        "    if refusals:\n        assessment.__exit__()\n",
        "    if False:\n        assessment.__exit__()\n",
        _tests("ingestion/test_validation", "volume"),
    ),
    PlantedFault(
        "events far in the future are accepted",
        ASSESSMENT,
        "CLOCK_TOLERANCE = timedelta(days=1)",
        "CLOCK_TOLERANCE = timedelta(days=365_000)",
        _tests("ingestion/test_steps", "after_its_arrival"),
    ),
    PlantedFault(
        "a cell that could not be typed is also reported as missing",
        "pipeline/ingestion/rejections.py",
        " if c not in typing for reason",
        " for reason",
        _tests("ingestion/test_steps", "has_one_reason"),
    ),
    PlantedFault(
        "three recent days are enough to compare with",
        "pipeline/ingestion/levels.py",
        "MIN_RECENT_DAYS = 7",
        "MIN_RECENT_DAYS = 3",
        _tests("ingestion/test_levels", "fewer"),
    ),
    PlantedFault(
        "an expectation that only warns rejects rows",
        "pipeline/ingestion/validation.py",
        ' and not describe(e)["warns"]',
        "",
        _tests("ingestion/test_validation", "warning"),
    ),
    PlantedFault(
        "the same bytes under other rules count as the same entry of the ledger",
        LEDGER,
        "if (e.sha256, e.rules) not in keys]",
        "if e.sha256 not in {sha256 for sha256, _ in keys}]",
        _tests("ingestion/test_ledger"),
    ),
    PlantedFault(
        "a refused entry of the ledger becomes replaced",
        LEDGER,
        "replace(e, status=Status.REPLACED) if e.status is not Status.REFUSED else e for e in others",
        "replace(e, status=Status.REPLACED) for e in others",
        _tests("ingestion/test_ledger"),
    ),
    PlantedFault(
        "whole numbers beyond the exact range of floats are accepted",
        CASTING,
        "MAX_EXACT_INTEGER = 2**53",
        "MAX_EXACT_INTEGER = 2**62",
        _tests("ingestion/test_mapping", "whole"),
    ),
    PlantedFault(
        "numbers too large for a float become infinite",
        CASTING,
        "return _where(numbers, pc.is_finite(numbers))",
        "return numbers",
        _tests("ingestion/test_mapping", "finite"),
    ),
    PlantedFault(
        "rows can be replayed a second time",
        "pipeline/ingestion/quarantine.py",
        'rows = [row for row in read_quarantine(lake, table, delivery).to_pylist() if row["replayed_in"] is None]',
        "rows = read_quarantine(lake, table, delivery).to_pylist()",
        _tests("ingestion/test_quarantine", "second_replay or second_time"),
    ),
    PlantedFault(
        "a corrected file may name rows that are not in quarantine",
        REPLAY,
        "if unknown or not lines or len(set(numbers)) != len(lines):",
        "if not lines or len(set(numbers)) != len(lines):",
        _tests("ingestion/test_quarantine", "mended_file or corrected_file"),
    ),
    PlantedFault(
        "a file that ends in the middle of a line is accepted",
        "pipeline/ingestion/csv_reader.py",
        '    if not text.ended and (last_is_malformed or form.final_newline == "required"):\n',
        "    if False:\n",
        _tests("ingestion/test_readers", "cut"),
    ),
    PlantedFault(
        "the day after a range of days is ingested too",
        "pipeline/ingestion/deliveries.py",
        "(until and day >= until)",
        "(until and day > until)",
        _tests("ingestion/test_deliveries"),
    ),
    PlantedFault(
        "a joined file may hold a key twice",
        "pipeline/ingestion/joins.py",
        'if c["counts"] > 1]',
        'if c["counts"] > 2]',
        _tests("contracts/test_stores", "cannot_be_joined"),
    ),
    PlantedFault(
        "two first writers of a table both create it",
        "pipeline/lake/tables.py",
        "CommitProperties(custom_metadata=metadata, max_commit_retries=0)",
        "CommitProperties(custom_metadata=metadata)",
        _tests("lake/test_tables", "another_writer_creates"),
    ),
)

GATE_FILE, LIFECYCLE = "pipeline/training/gate.py", "pipeline/training/lifecycle.py"
GATE_TESTS = _tests("training/test_gate")
GATE = (
    PlantedFault("one rule is enough", GATE_FILE, "Decision(all(", "Decision(any(", GATE_TESTS),
    PlantedFault(
        "NaN counts as a number", GATE_FILE, "value is None or not math.isfinite(value)", "value is None", GATE_TESTS
    ),
    PlantedFault("a floor is exclusive", GATE_FILE, "value >= self.at_least", "value > self.at_least", GATE_TESTS),
    PlantedFault("a ceiling is exclusive", GATE_FILE, "value <= self.at_most", "value < self.at_most", GATE_TESTS),
    PlantedFault(
        "an interval has no upper bound", GATE_FILE, "self.low <= value <= self.high", "self.low <= value", GATE_TESTS
    ),
    PlantedFault(
        "the tolerance works in the wrong direction",
        GATE_FILE,
        "limit = other - self.tolerance if self.higher_is_better",
        "limit = other + self.tolerance if self.higher_is_better",
        GATE_TESTS,
    ),
    PlantedFault(
        "a tie replaces the champion",
        GATE_FILE,
        "    if math.isclose(value, limit, rel_tol=TIE, abs_tol=TIE):\n        return False\n    return value > limit",
        "    return value >= limit",
        GATE_TESTS,
    ),
    PlantedFault(
        "a baseline that was not measured counts as beaten",
        GATE_FILE,
        "return _result(self, value, False, \"a naive baseline's value",
        "return _result(self, value, True, \"a naive baseline's value",
        GATE_TESTS,
    ),
    PlantedFault(
        "a challenger that knows less is accepted",
        GATE_FILE,
        "other is not None and mine >= other",
        "other is not None",
        GATE_TESTS,
    ),
    PlantedFault(
        "a version that the gate did not decide on is promoted",
        LIFECYCLE,
        "if not challenger.accepted:",
        "if challenger.accepted is False:",
        _tests("training/test_promotion"),
    ),
)

DRIFT_FILE, POLICY, WATCH = (
    "pipeline/monitoring/drift.py",
    "pipeline/monitoring/policy.py",
    "pipeline/monitoring/watch.py",
)
REQUEST_LOG, POLICY_TESTS = "pipeline/monitoring/request_log.py", _tests("monitoring/test_policy")
DRIFT = (
    PlantedFault(
        "few rows count as no drift",
        DRIFT_FILE,
        "    if min(rows) < minimum_rows:\n",
        "    if min(rows) < 1:\n",
        _tests("monitoring/test_drift", "too_few"),
    ),
    PlantedFault(
        "missing values are no drift",
        DRIFT_FILE,
        "MISSING_SHARE = 0.1",
        "MISSING_SHARE = 1.1",
        _tests("monitoring/test_drift", "missing"),
    ),
    PlantedFault(
        "heavy tails are compared on a linear scale",
        DRIFT_FILE,
        "if method.log else numbers\n",
        "if False else numbers\n",
        _tests("monitoring/test_drift", "heavy"),
    ),
    PlantedFault(
        "an error that is NaN counts as acceptable",
        "pipeline/training/monitored.py",
        "acceptable = self.observed < self.factor * self.expected",
        "acceptable = not self.observed >= self.factor * self.expected",
        _tests("monitoring/test_drift", "error"),
    ),
    PlantedFault(
        "one check is enough for a training",
        POLICY,
        "if found < policy.needed:",
        "if False:",
        POLICY_TESTS,
    ),
    PlantedFault(
        "older checks than the newest five count", POLICY, "earlier[: policy.windows - 1]", "earlier", POLICY_TESTS
    ),
    PlantedFault(
        "there is no cool-down", POLICY, "if days_since_training < policy.cooldown_days:", "if False:", POLICY_TESTS
    ),
    PlantedFault(
        "half as many drifted columns are enough",
        POLICY,
        "len(data) >= policy.share)",
        "len(data) >= policy.share / 2)",
        POLICY_TESTS,
    ),
    PlantedFault(
        "the rows of the training are compared with themselves",
        WATCH,
        "if day == version.provenance.as_of or current.equals(reference):",
        "if False:",
        _tests("monitoring/test_watch", "rows_of_the_training"),
    ),
    PlantedFault(
        "what challengers answered counts as the champion's",
        REQUEST_LOG,
        '        log.role == "champion",\n',
        "",
        _tests("monitoring/test_request_log", "champion"),
    ),
    PlantedFault(
        "what version 11 answered counts as version 1",
        REQUEST_LOG,
        """log.versions.contains(f"{entry},") | log.versions.contains(f"{entry}}}"),""",
        "log.versions.contains(entry),",
        _tests("monitoring/test_request_log", "champion"),
    ),
)

CUSTOMERS, CUSTOMER_TESTS = "pipeline/customers/features.py", "customers/test_features"
SHOPPERS, STORES = "pipeline/shoppers/features.py", "pipeline/stores/calendar.py"
FEATURES = (
    PlantedFault(
        "the window includes the midnight of the as-of day",
        CUSTOMERS,
        "t.invoiced_at < ibis.timestamp(until)",
        "t.invoiced_at <= ibis.timestamp(until)",
        _tests(CUSTOMER_TESTS, "window_holds"),
    ),
    PlantedFault(
        "postage counts as a product",
        CUSTOMERS,
        "        t.is_product,\n",
        "",
        _tests(CUSTOMER_TESTS, "does_not_count"),
    ),
    PlantedFault(
        "on a tie the later hour is the favourite",
        CUSTOMERS,
        "coded = [count * len(counts) + (last - k) for k, count in enumerate(counts)]\n    return last - ibis",
        "coded = [count * len(counts) + k for k, count in enumerate(counts)]\n    return ibis",
        _tests(CUSTOMER_TESTS, "ties"),
    ),
    PlantedFault(
        "half of the purchases are not enough for the home country",
        CUSTOMERS,
        "c.home_invoices * 2 >= c.located_invoices",
        "c.home_invoices * 2 > c.located_invoices",
        _tests(CUSTOMER_TESTS, "country"),
    ),
    PlantedFault(
        "a visit's features know its own outcome",
        SHOPPERS,
        "preceding=(None, 1))",
        "preceding=(None, 0))",
        _tests("shoppers/test_features", "came_of_its_visit or hand or outcome"),
    ),
    PlantedFault(
        "days since the last purchase count from the first one",
        SHOPPERS,
        "last_purchase = purchase_day.max()",
        "last_purchase = purchase_day.min()",
        _tests("shoppers/test_features", "hand"),
    ),
    PlantedFault(
        "a forecast sees events after its horizon",
        STORES,
        'np.where(days["t"] + days[name] >= end, MAX_DISTANCE, days[name])',
        "days[name]",
        _tests("stores/test_calendar", "coming_closure"),
    ),
    PlantedFault(
        "a day without a row counts as closed",
        STORES,
        "closed = known & ~plan.open\n",
        "closed = ~plan.open\n",
        _tests("stores/test_features", "missing_day"),
    ),
    PlantedFault(
        "footfall of the as-of day is known",
        "pipeline/footfall/features.py",
        "footfall.day < ibis.date(as_of)",
        "footfall.day <= ibis.date(as_of)",
        _tests("footfall/test_features"),
    ),
)

CLIENT, REGISTRY_TESTS = "pipeline/registry/client.py", "registry/test_client"
REGISTRY = (
    PlantedFault(
        "changed files of a model are loaded",
        "pipeline/registry/store.py",
        "            if observed != registered:\n",
        "            if False:\n",
        _tests(REGISTRY_TESTS, "files_that_are_not"),
    ),
    PlantedFault(
        "types that are not trusted are loaded",
        "pipeline/registry/model_files.py",
        "if untrusted := sorted(set(types) - set(trusted)):",
        "if untrusted := sorted(set(types) - set(types)):",
        _tests(REGISTRY_TESTS, "off_the_list"),
    ),
    PlantedFault(
        "another seed is the same model",
        CLIENT,
        "identity = [provenance.identity(content), given, requirements, flavour]",
        "identity = [given, requirements, flavour]",
        _tests(REGISTRY_TESTS, "another_training"),
    ),
    PlantedFault(
        "a rollback goes back to the version that was rolled back",
        "pipeline/registry/promotions.py",
        "                while line and line[-1] != entry.version:\n                    line.pop()\n",
        "                line.append(entry.version)\n",
        _tests(REGISTRY_TESTS, "rolling_back or rollback"),
    ),
    PlantedFault(
        "a switch that was interrupted is not put on record",
        CLIENT,
        "            if record not in self.history(name):\n                self._promotions.append(record)\n",
        "",
        _tests(REGISTRY_TESTS, "promotion"),
    ),
)

SERVICE = (
    PlantedFault(
        "an address that is not listed needs no key",
        "pipeline/serving/app.py",
        'return "admin" if path == "/reload" else "read"',
        'return "admin" if path == "/reload" else None',
        _tests("serving/test_auth", "without_a_key"),
    ),
    PlantedFault(
        "a key may do everything",
        "pipeline/serving/auth.py",
        'if not self._keys[name].scopes & {required, "admin"}:',
        "if False:",
        _tests("serving/test_auth", "scope"),
    ),
    PlantedFault(
        "without keys any host name is answered",
        "pipeline/serving/auth.py",
        ' or not is_loopback(name.strip("[]")):',
        ":",
        _tests("serving/test_auth", "loopback"),
    ),
    PlantedFault(
        "a full queue takes more requests",
        "pipeline/serving/batching.py",
        "self._jobs >= self._max_jobs or ",
        "",
        _tests("serving/test_batching"),
    ),
    PlantedFault(
        "a challenger in the shadow answers",
        "pipeline/serving/endpoint.py",
        "canary = [job for job in jobs if challenger is not None and _in_share(job.request_id, self._canary_share)]",
        "canary = [job for job in jobs if challenger is not None]",
        _tests("serving/test_challengers"),
    ),
    PlantedFault(
        "refused rows are counted as predictions",
        "pipeline/serving/prediction_log.py",
        "return len(self.predictions.positions)",
        "return len(self.predictions.answers)",
        _tests("serving/test_prediction_log"),
    ),
    PlantedFault(
        "predictions that could not be written are forgotten",
        "pipeline/serving/prediction_log.py",
        'rows wait", rows)\n            return False\n',
        'rows wait", rows)\n            return True\n',
        _tests("serving/test_prediction_log"),
    ),
    PlantedFault(
        "a request that takes too long is answered as a failure",
        "pipeline/serving/middleware.py",
        "        if isinstance(error, TimeoutError):\n            return",
        "        if False:\n            return",
        _tests("serving/test_middleware", "time_limit"),
    ),
    PlantedFault(
        "unknown addresses are counted by their own name",
        "pipeline/serving/middleware.py",
        'route = getattr(scope.get("route"), "path", OTHER)',
        'route = getattr(scope.get("route"), "path", scope["path"])',
        _tests("serving/test_middleware", "counted"),
    ),
)

FAULTS: tuple[PlantedFault, ...] = (*INGESTION, *GATE, *DRIFT, *FEATURES, *REGISTRY, *SERVICE)
