"""Attack the product and count what held: `python -m benchmarks.attack [service|deliveries|recovery] …`.

Each part is a module of this package with a function `attacks() -> Iterator[Outcome]`. The exit code is 1 if anything
did not hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module, resources

PARTS = ("service", "deliveries", "recovery")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the attacks of some parts, or of all that there are; return 0 if the product held against all of them."""
    there = [part for part in PARTS if resources.files(__package__).joinpath(f"{part}.py").is_file()]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=[*there, []], help=f"{', '.join(there)}; all of them if none")
    held = tried = 0
    for part in parser.parse_args(arguments).parts or there:
        for outcome in import_module(f"{__package__}.{part}").attacks():
            tried += 1
            held += outcome.held
            print(f"{'held' if outcome.held else 'FELL':<6}{part}: {outcome.name}: {outcome.observed}", flush=True)
    print(f"\nheld {held} of {tried}")
    return 0 if held == tried else 1


if __name__ == "__main__":
    raise SystemExit(main())
