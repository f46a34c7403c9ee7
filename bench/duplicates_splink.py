"""The same people given to Splink, set up as its manual suggests for people; its threshold is the best there is.

Which threshold is best one only knows who knows the truth: ours has no such help.
"""

import time
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import splink.comparison_library as compare
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI

from bench.duplicates_alone import judged
from filiera.contacts.rules import folded

BLOCKS = ("phone", "email", ("first", "last"), ("last", "cap"), ("first", "cap"), "tax_code")
WEIGHTS = np.arange(-2, 25, 0.5)


def search(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the time for training and predicting, and the best F1 with the threshold that has it."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            compare.ForenameSurnameComparison("first", "last"),
            compare.DamerauLevenshteinAtThresholds("phone", [1]).configure(term_frequency_adjustments=True),
            compare.EmailComparison("email"),
            compare.ExactMatch("cap"),
            compare.ExactMatch("city"),
            compare.ExactMatch("tax_code"),
        ],
        blocking_rules_to_generate_predictions=[_rule(block) for block in BLOCKS],
        retain_matching_columns=False,
    )
    linker = Linker(DuckDBAPI().register(_table(columns)), settings, log_level="ERROR")
    training = linker.training
    training.estimate_probability_two_random_records_match(
        [_rule(("first", "last", "email")), _rule(("first", "last", "phone"))], recall=0.6
    )
    training.estimate_u_using_random_sampling(max_pairs=5e6, seed=1)
    for block in ("email", "phone", ("first", "last")):
        training.estimate_parameters_using_expectation_maximisation(_rule(block), record_sample_proportion=1)
    predicted = linker.inference.predict(threshold_match_weight=float(WEIGHTS[0])).as_pyarrow_table()
    seconds = time.perf_counter() - started
    left, right = (predicted[f"unique_id_{side}"].to_numpy() for side in "lr")
    weights = predicted["match_weight"].to_numpy()
    best: dict[str, Any] = {"f1": -1.0}
    for weight in WEIGHTS:
        chosen = weights >= weight
        low, high = np.minimum(left, right)[chosen].tolist(), np.maximum(left, right)[chosen].tolist()
        found = judged(set(zip(low, high, strict=True)), columns["person"])
        best = max(best, found | {"weight": float(weight)}, key=lambda each: each["f1"])
    return {"seconds": seconds, **best}


def _rule(block: str | tuple[str, ...]) -> Any:
    return block_on(block) if isinstance(block, str) else block_on(*block)


def _table(columns: dict[str, Any]) -> pa.Table:
    def or_none(values: list[str]) -> list[str | None]:
        return [folded(value) or None for value in values]

    return pa.table(
        {
            "unique_id": list(range(len(columns["first"]))),
            **{
                name: or_none(columns[name]) for name in ("first", "last", "email", "cap", "city", "tax_code")
            },
            "phone": [numbers[0] if numbers else None for numbers in columns["phones"]],
        }
    )
