"""One endpoint at work: its queue, champion, challenger, prediction log and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from http import HTTPStatus
from typing import cast

from pipeline.endpoints import Answer, EndpointSpec, Predictions, RowError, Strict, SummingPredictor
from pipeline.serving.batching import Batcher, Job
from pipeline.serving.errors import ProblemError
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_manager import LoadedModel, ModelManager
from pipeline.serving.prediction_log import Entry, PredictionLog
from pipeline.serving.shadow import Shadow
from pipeline.settings import Settings


@dataclass(frozen=True)
class Answered:
    """One answer per row of a request, and its sums."""

    answers: Sequence[Answer]
    sums: Sequence[Answer] = ()


class Endpoint:
    """Answers the rows of an endpoint's requests.

    Args:
        models: where the endpoint's champion and challenger are.
        predictions: where predictions are logged.
        now: the clock of the log.
    """

    def __init__(
        self,
        spec: EndpointSpec,
        models: ModelManager,
        predictions: PredictionLog,
        metrics: Metrics,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.spec = spec
        self._models, self._predictions, self._metrics, self._now = models, predictions, metrics, now
        self._canary_share = settings.serve_canary
        self._batcher = Batcher(spec.name, self._run, settings.serve_queue)
        metrics.waiting.labels(spec.name).set_function(lambda: self._batcher.waiting)
        self._shadow = Shadow(spec, self._predict, metrics) if settings.serve_shadow else None

    def check_ready(self) -> None:
        """Refuse a request before its body is read.

        Raises:
            ProblemError: 503 while no champion is loaded.
        """
        if self._models.champion(self.spec.name) is None:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "No champion is loaded for this endpoint",
                where=self.spec.path,
                observed=self._models.public_state(self.spec.name),
                todo="try again later; /health/ready says when it is loaded",
                headers={"Retry-After": "10"},
            )

    async def answer(self, rows: Sequence[Strict], request_id: str, sum_over: str | None = None) -> Answered:
        """One answer per row, and the sums that are asked for.

        Raises:
            ProblemError: 429 when the queue is full.
        """
        items = sum(map(self.spec.items, rows))
        answered: Answered = await self._batcher.submit(rows, request_id, items, sum_over)
        return answered

    async def close(self) -> None:
        """Finish the requests that were taken."""
        await self._batcher.close()
        if self._shadow is not None:
            self._shadow.close()

    def _run(self, jobs: Sequence[Job]) -> list[Answered | Exception]:
        """Answer a batch of requests; runs in the queue's thread.

        Champion and challenger are read once per batch, so all rows of a request get the same version.
        """
        champion = self._models.champion(self.spec.name)
        challenger = self._models.challenger(self.spec.name)
        canary = [job for job in jobs if challenger is not None and _in_share(job.request_id, self._canary_share)]
        others = [job for job in jobs if job not in canary] if canary else jobs
        answers: dict[int, Answered | Exception] = {}
        for model, role, part in ((champion, "champion", others), (challenger, "canary", canary)):
            if model is not None and part:
                answers |= zip(map(id, part), self._answers(model, role, part), strict=True)
        if self._shadow is not None and challenger is not None:
            self._shadow.submit(challenger, others)
        return [answers[id(job)] for job in jobs]

    def _answers(self, model: LoadedModel, role: str, jobs: Sequence[Job]) -> list[Answered | Exception]:
        """The answers of each request, or the exception that it raised."""
        try:
            predicted = self._predict(model, role, jobs)
        except Exception as error:  # noqa: BLE001 (whatever it is, the request gets it)
            if len(jobs) == 1:
                return [error]
        else:
            return [_with_sums(model, job, answers) for job, answers in zip(jobs, predicted, strict=True)]
        # Predicted one by one, the rows of one request cannot fail the others.
        return [answers for job in jobs for answers in self._answers(model, role, [job])]

    def _predict(self, model: LoadedModel, role: str, jobs: Sequence[Job]) -> list[list[Answer]]:
        """Predict, count and log the rows of some requests."""
        predictions = model.predictor.predict([job.rows for job in jobs])
        self._count(predictions, role)
        request_ids = [job.request_id for job in jobs for _ in job.rows]
        entry = Entry(self._now(), self.spec.name, role, model.versions, request_ids, predictions, self.spec.personal)
        self._predictions.add(entry)
        answers = iter(predictions.answers)
        return [[next(answers) for _ in job.rows] for job in jobs]

    def _count(self, predictions: Predictions, role: str) -> None:
        name = self.spec.name
        refused = sum(isinstance(answer, RowError) for answer in predictions.answers)
        self._metrics.batch.labels(name).observe(len(predictions.answers))
        self._metrics.rows.labels(name, role).inc(len(predictions.answers) - refused)
        self._metrics.refused.labels(name, role).inc(refused)


def _with_sums(model: LoadedModel, job: Job, answers: list[Answer]) -> Answered | Exception:
    """Add the sums that a request asks for; the body's schema allows that only where the predictor has them."""
    if job.sum_over is None:
        return Answered(answers)
    try:
        return Answered(answers, cast("SummingPredictor", model.predictor).sums(job.sum_over, job.rows, answers))
    except Exception as error:  # noqa: BLE001 (whatever it is, the request gets it)
        return error


def _in_share(request_id: str, share: float) -> bool:
    """Whether a request belongs to a share (0 to 1) of all, decided by a hash of its id."""
    if share <= 0:
        return False
    return int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest(), "big") < share * 2**64
