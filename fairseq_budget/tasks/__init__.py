"""fairseq tasks.

fairseq's ``import_user_module`` imports this folder and ``models/`` only, so the criterions and
optimizers, which it would never find, are imported here.
"""

import fairseq_budget.criterions
import fairseq_budget.optimizers  # noqa: F401
