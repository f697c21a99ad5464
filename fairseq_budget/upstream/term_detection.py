"""The score of QbE: how well documents that hold a spoken query are told from those that do not.

s3prl's part of it ends with a number for each query and document. What QUESST 2014 makes of them
is the term-weighted value (Anguera et al., "Query by Example Search on Speech at MediaEval 2014"),
1 less what a query costs on average where all that reaches a threshold is taken for found:

    TWV = 1 - mean over queries of (P_miss + BETA P_fa)

P_miss is the share of documents with the query that are not found, and P_fa that of the others that
are. MTWV is the value at the best threshold, one for all queries; finding nothing has 0.

It is over the queries that s3prl searches for, of QUESST 2014 the English ones, as far as some
document holds them. Whether the program that QUESST 2014 ships counts the queries of its other
languages as missed we do not know, so a leaderboard's numbers may be others.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fairseq_budget.errors import BudgetError
from fairseq_budget.files import reading

COST_OF_MISS, COST_OF_FALSE_ALARM, PRIOR = 100, 1, 0.0008  # QUESST 2014's
BETA = COST_OF_FALSE_ALARM / COST_OF_MISS * (1 / PRIOR - 1)
NUM_DIGITS = 4  # of a score, as s3prl hands them on

Truth = Mapping[str, Set[str]]
"""The documents that hold a query, of each query that any holds."""


def truth_file(root: Path, part: str) -> Path:
    """Where QUESST 2014 says which documents hold the queries of a part, dev or eval."""
    return root / "scoring" / f"groundtruth_quesst14_{part}" / f"quesst14_{part}.rttm"


def read_truth(path: Path) -> dict[str, set[str]]:
    """The `Truth` of a file: lines ``LEXEME document channel start duration query ...``.

    Others than LEXEME are passed over. Raises BudgetError for lines of another shape.
    """
    truth: dict[str, set[str]] = {}
    with reading(path, "unpack the corpus or make the layout again"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            words = line.split()
            if words[:1] != ["LEXEME"]:
                continue
            if len(words) < 6:
                raise ValueError(f"line {number} is {line!r}, expected a query as its sixth word")
            truth.setdefault(words[5], set()).add(words[1])
    return truth


def score_detections(scores: Mapping[str, Mapping[str, float]], truth: Truth) -> float:
    """MTWV of the scores of each query in each document, the same documents for all.

    Raises BudgetError where no document holds any of the queries.
    """
    held = {query: own for query, own in scores.items() if truth.get(query, set()) & own.keys()}
    if not held:
        raise BudgetError(
            f"no document holds any of the {len(scores)} queries: expected the ground truth to "
            "name some of both; check that it is of these recordings"
        )
    documents = sorted(next(iter(held.values())))
    return max_term_weighted_value(
        [[own[document] for document in documents] for own in held.values()],
        [[document in truth[query] for document in documents] for query in held],
    )


def max_term_weighted_value(scores: ArrayLike, is_there: ArrayLike) -> float:
    """MTWV, 0 to 1, of scores (queries, documents) and whether a document holds a query (bool).

    Each query must be in some document. Raises BudgetError for scores that are no numbers.
    """
    ranked = np.round(np.asarray(scores, dtype=np.float64), NUM_DIGITS)
    if np.isnan(ranked).any():
        raise BudgetError("scores of queries are NaN: expected numbers; is the checkpoint sound?")
    there = np.asarray(is_there, dtype=bool)
    num_there = there.sum(1, keepdims=True)
    num_others = np.maximum(there.shape[1] - num_there, 1)  # if all hold it, no alarm is false
    gains = np.where(there, 1 / num_there, -BETA / num_others) / len(there)
    order = np.argsort(-ranked, axis=None, kind="stable")
    ranked, values = ranked.ravel()[order], gains.ravel()[order].cumsum()
    is_threshold = np.append(ranked[:-1] != ranked[1:], True)  # equal scores are found together
    return float(np.clip(values[is_threshold].max(), 0, 1))
