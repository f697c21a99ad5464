"""``run_downstream.py`` and ``s3prl``: s3prl's downstream runner, our upstreams included.

Console scripts, so that ``s3prl run_downstream.py -m train -u budget_upstream ...`` is typed
literally although s3prl installs no such commands.
"""

from __future__ import annotations

import sys

from fairseq_budget.errors import BudgetError

SCRIPT = "run_downstream.py"
USAGE = f"""usage: s3prl {SCRIPT} ARGS...

Runs s3prl's {SCRIPT} with the upstreams budget_upstream and budget_logmel added.

  s3prl {SCRIPT} -m train -u budget_upstream -k EXPORTED -d fluent_commands -p OUT
  s3prl {SCRIPT} -m evaluate -e OUT/dev-best.ckpt
  s3prl {SCRIPT} --help          s3prl's own options

Configurations for -d fluent_commands (IC), voxceleb1 (SID), emotion (ER) and speech_commands (KS)
are built in; budget-downstream layout prepares the data."""


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``run_downstream.py``; the arguments are s3prl's."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        from fairseq_budget.upstream.launch import run  # only here: s3prl takes seconds to import

        run(arguments)
    except BudgetError as error:
        print(f"{SCRIPT}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{SCRIPT}: interrupted; add -a to resume from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def s3prl_main(argv: list[str] | None = None) -> int:
    """Entry point of ``s3prl``: ``s3prl run_downstream.py ARGS...``."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] in (SCRIPT, SCRIPT.removesuffix(".py")):
        return main(arguments[1:])
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    print(f"s3prl: error: {arguments[0]!r}: expected {SCRIPT}\n\n{USAGE}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
