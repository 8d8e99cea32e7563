"""One route at work: its queue, the champion that answers, the challenger beside it, the log and the counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from http import HTTPStatus

from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, Strict
from pipeline.serving.batching import Batcher, Job
from pipeline.serving.errors import ProblemError
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_manager import LoadedModel, ModelManager
from pipeline.serving.prediction_log import Entry, PredictionLog
from pipeline.serving.shadow import Shadow
from pipeline.settings import Settings


class Endpoint:
    """Answers the rows of a route.

    Args:
        now: the clock of the log.
    """

    def __init__(
        self,
        served: EndpointSpec,
        champions: ModelManager,
        predictions: PredictionLog,
        metrics: Metrics,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.served = served
        self._champions, self._predictions, self._metrics, self._now = champions, predictions, metrics, now
        self._canary = settings.serve_canary
        self._batcher = Batcher(served.name, self._run, settings.serve_queue)
        metrics.waiting.labels(served.name).set_function(lambda: self._batcher.waiting)
        self._shadow = Shadow(served, self._ask, metrics) if settings.serve_shadow else None

    async def answer(self, rows: Sequence[Strict], request_id: str) -> list[Answer]:
        """One answer a row.

        Raises:
            ProblemError: 503 without a champion, 429 when too much is waiting.
        """
        if self._champions.serving(self.served.name) is None:
            note = self._champions.notes.get(self.served.name)
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "No champion is loaded for this route",
                where=self.served.path,
                observed=note.text if note else "the registry has not answered yet",
                todo="try again later; /health/ready says when it is there",
                headers={"Retry-After": "10"},
            )
        answers: list[Answer] = await self._batcher.submit(rows, request_id)
        return answers

    async def close(self) -> None:
        """Finish what runs."""
        await self._batcher.close()
        if self._shadow is not None:
            self._shadow.close()

    def _run(self, jobs: Sequence[Job]) -> list[list[Answer] | Exception]:
        """In the queue's thread: champion and challenger are taken once a batch, so a request has one version."""
        champion = self._champions.serving(self.served.name)
        challenger = self._champions.challenger(self.served.name)
        canary = [job for job in jobs if challenger is not None and _drawn(job.request_id, self._canary)]
        usual = [job for job in jobs if job not in canary] if canary else jobs
        answers: dict[int, list[Answer] | Exception] = {}
        for serving, role, mine in ((champion, "champion", usual), (challenger, "canary", canary)):
            if serving is not None and mine:
                answers |= zip(map(id, mine), self._answers(serving, role, mine), strict=True)
        if self._shadow is not None and challenger is not None:
            self._shadow.ask(challenger, usual)
        return [answers[id(job)] for job in jobs]

    def _answers(self, serving: LoadedModel, role: str, jobs: Sequence[Job]) -> list[list[Answer] | Exception]:
        try:
            return list(self._ask(serving, role, jobs))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is this request's alone)
            if len(jobs) == 1:
                return [error]
        # One request's rows must not fail those of others.
        return [answers for job in jobs for answers in self._answers(serving, role, [job])]

    def _ask(self, serving: LoadedModel, role: str, jobs: Sequence[Job]) -> list[list[Answer]]:
        said = serving.predictor.predict([job.rows for job in jobs])
        self._count(said, role)
        request_ids = [job.request_id for job in jobs for _ in job.rows]
        name = self.served.name
        self._predictions.add(Entry(self._now(), name, role, serving.versions, request_ids, said))
        ends = iter(said.answers)
        return [[next(ends) for _ in job.rows] for job in jobs]

    def _count(self, said: Predictions, role: str) -> None:
        name = self.served.name
        refused = sum(isinstance(answer, RowError) for answer in said.answers)
        self._metrics.batch.labels(name).observe(len(said.answers))
        self._metrics.rows.labels(name, role).inc(len(said.answers) - refused)
        self._metrics.refused.labels(name, role).inc(refused)


def _drawn(request_id: str, share: float) -> bool:
    """Whether a request is among a share of all, by its id: the same one always is, or never."""
    if share <= 0:
        return False
    return int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest(), "big") < share * 2**64
