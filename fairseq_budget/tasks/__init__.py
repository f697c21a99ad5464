"""fairseq tasks.

fairseq's ``import_user_module`` imports this folder and ``models/`` only, so the criterions, which
it would never find, are imported here.
"""

import fairseq_budget.criterions  # noqa: F401
