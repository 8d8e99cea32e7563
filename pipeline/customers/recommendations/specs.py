"""The specification of `recommendations`: what is particular to it."""

from __future__ import annotations

from pipeline.customers.domain import DOMAIN, RECOMMENDATIONS
from pipeline.customers.labels import LABELS, PREDICTIONS
from pipeline.customers.recommendations import model
from pipeline.customers.recommendations.backtest import backtest
from pipeline.training.gate import BeatsBaseline, Better, NotWorse
from pipeline.training.monitored import AMOUNT, NUMBER, Method, MonitoredModel
from pipeline.training.spec import ModelSpec

SPEC: ModelSpec[model.Windows] = ModelSpec(
    name=RECOMMENDATIONS,
    table=DOMAIN.input_table,
    other_tables=(DOMAIN.features_table,),
    load=model.load,
    content=model.content,
    fit=model.fit,
    evaluate=model.evaluate,
    baseline=model.baseline,
    rules=(
        # A recommender that ignores what the customer bought cannot reach the customer's own frequencies.
        BeatsBaseline("ndcg", 0.0),
        # Where purchases are independent of each other nothing beats what is popular: chance must not decide then.
        BeatsBaseline("new_ndcg", -0.1),
        NotWorse("new_ndcg", 0.005),
        Better("ndcg", by=0.002),
    ),
    monitored=MonitoredModel(
        table=DOMAIN.features_table,
        columns={"recency_days": NUMBER, "invoices": AMOUNT, "distinct_products": AMOUNT},
        key="customer_id",
        predict=model.chances,
        prediction=Method("wasserstein", 0.2, kind="prediction"),
        performance=model.misses_since,
        labels={**LABELS, "prediction": PREDICTIONS[RECOMMENDATIONS]},
    ),
    trusted_types=model.TRUSTED_TYPES,
    backtest=backtest,
)
